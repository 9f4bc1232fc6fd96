"""The image of the service: built once, listed, checked, pushed, and promoted by its digest."""

from rung_ops.addons import Addon, Verb

ADDON = Addon(
    summary="the service's image, from its build to production",
    path="service.Dockerfile",
    verbs={
        "service-image push": Verb(
            "rung_ops.service_image.push", "", "build, list, check and push the image"
        ),
        "service-image promote": Verb(
            "rung_ops.service_image.promote",
            "",
            "bring the image that was pushed to staging or production",
        ),
    },
)
