"""The environment variables that hold keys and tokens, for who reads them and who must not."""

RELEASE = "RELEASE_PRIVATE_KEY"
AUDIT = "AUDIT_PRIVATE_KEY"
PREDICT = "PREDICT_TOKENS"
METRICS = "METRICS_TOKENS"
OPERATOR = "OPERATOR_TOKEN"
OPERATORS = "OPERATOR_TOKENS"
SERVICE = "SERVICE_TOKEN"
LOG = "LOG_KEYS"

IN_A_FILE = "_FILE"  # after a name: the variable that says which file holds it
# Of the hosts of git and CI: with these a job pushes, and starts others.
HOSTS = ("GITHUB_TOKEN", "GH_TOKEN", "CI_JOB_TOKEN", "SYSTEM_ACCESSTOKEN")
AGENT = "SSH_AUTH_SOCK"  # signs with the validator's key

OF_LOG = (LOG, LOG + IN_A_FILE)  # what reads the prediction log needs them

_OWN = (RELEASE, AUDIT, PREDICT, METRICS, OPERATOR, OPERATORS, SERVICE, LOG)
ALL = frozenset([*_OWN, *(name + IN_A_FILE for name in _OWN), *HOSTS, AGENT])
