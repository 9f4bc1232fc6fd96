pytest_plugins = ["machinery.tests.conftest"]
