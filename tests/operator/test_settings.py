"""Settings from the environment."""

import pytest

from bananas_operator.errors import SettingsError
from bananas_operator.settings import Settings


def test_variables_set_the_fields_of_their_name() -> None:
    made = Settings.from_environment(
        {
            "BANANAS_TRAINER_IMAGE": "t:1",
            "BANANAS_RESYNC_SECONDS": "10",
            "PATH": "/bin",
            "BANANAS_WATCH_NAMESPACES": "a, b",
        }
    )
    assert (made.trainer_image, made.resync_seconds, made.namespaces) == ("t:1", 10, ("a", "b"))


def test_the_progress_address_is_the_operators_service_unless_set() -> None:
    assert Settings(operator_namespace="x").progress_address == "http://bananas-operator.x.svc:8080/v1/progress"
    assert Settings(progress_url="http://else/").progress_address == "http://else/"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BANANAS_RESYNC_SECONDS", "0", "greater than 0"),
        ("BANANAS_WORKERS", "many", "integer"),
        ("BANANAS_IMAGE_PULL_POLICY", "Sometimes", "Always"),
        ("BANANAS_TRAINR_IMAGE", "x", "BANANAS_TRAINER_IMAGE"),
    ],
)
def test_a_variable_that_cannot_be_is_refused_with_its_name(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        Settings.from_environment({name: value})
    assert says in str(caught.value)


def test_the_defaults_are_these() -> None:
    want = {
        "resync_seconds": 300,
        "retry_backoff_seconds": 10,
        "retry_backoff_limit_seconds": 300,
        "max_interruptions": 100,
        "healthy_seconds": 30,
        "failed_job_seconds": 14400,
        "progress_seconds": 60,
        "recheck_seconds": 5,
        "echo_seconds": 60,
        "page_size": 500,
    }
    assert {name: getattr(Settings(), name) for name in want} == want
    assert all(field.description for field in Settings.model_fields.values())
