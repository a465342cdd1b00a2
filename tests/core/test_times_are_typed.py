"""Times are text on the wire and datetimes inside, to the second."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from heterollm_controllers.api.v1alpha1.status import Decision

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def decision(time: object) -> Decision:
    return Decision.model_validate({"time": time, "action": "ScaledUp", "subject": "small", "message": ""})


@pytest.mark.parametrize(
    "text",
    ["2026-06-01T12:00:00Z", "2026-06-01t12:00:00z", "2026-06-01T14:00:00+02:00", "2026-06-01T12:00:00.999999999Z"],
)
def test_every_text_that_the_api_server_takes_is_read(text: str) -> None:
    read = decision(text)
    assert read.time == NOON
    assert read.model_dump(mode="json")["time"] == "2026-06-01T12:00:00Z"


@pytest.mark.parametrize("time", [NOON + timedelta(microseconds=1), NOON.astimezone(timezone(timedelta(hours=-5)))])
def test_what_is_decided_is_what_is_read_back(time: datetime) -> None:
    made = decision(time)
    assert decision(made.model_dump(mode="json")["time"]) == made


@pytest.mark.parametrize("text", ["", "noon", "2026-06-01T12:00:00", "2026-06-01", None])
def test_a_time_that_is_none_is_refused(text: str | None) -> None:
    with pytest.raises(ValidationError):
        decision(text)
