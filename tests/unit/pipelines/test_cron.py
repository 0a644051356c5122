"""Cron: five fields are checked, and mean the same to Kubeflow after the conversion."""

from datetime import UTC, datetime

import pytest

from pipelines import cron

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("five", "six"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("@daily", "0 0 0 * * *"),
        ("@weekly", "0 0 0 * * 0"),
        ("*/15 8-18/2 1,15 jan-mar *", "0 */15 8-18/2 1,15 JAN-MAR *"),
        ("30 6 * * 7", "0 30 6 * * 0"),
        ("30 6 * * 5-7", "0 30 6 * * 0,5,6"),
        ("30 6 * * mon-fri", "0 30 6 * * 1,2,3,4,5"),
        ("30 6 * * SAT,SUN", "0 30 6 * * 0,6"),
        ("30 6 * * 1/2", "0 30 6 * * 0,1,3,5"),
        ("0 0 * * */2", "0 0 0 * * */2"),
    ],
)
def test_kubeflow_gets_seconds_first_and_sunday_as_zero(five: str, six: str) -> None:
    parsed = cron.parse(five)
    assert cron.to_kubeflow(parsed) == six
    back = cron.parse(cron.from_kubeflow(six))
    assert cron.next_times(back, NOW, 20) == cron.next_times(parsed, NOW, 20)


@pytest.mark.parametrize(
    ("five", "six", "times"),
    [
        ("0 3 * * 7", "0 0 3 * * 0", "27-01-17T03:00 27-01-24T03:00 27-01-31T03:00"),
        ("*/20 8-10/2 1,15 jan-mar *", "0 */20 8-10/2 1,15 JAN-MAR *",
         "27-01-15T08:20 27-01-15T08:40 27-01-15T10:00 27-01-15T10:20"),
        ("30 6 * * 5-7", "0 30 6 * * 0,5,6", "27-01-16T06:30 27-01-17T06:30 27-01-22T06:30"),
        ("30 6 * * 1/2", "0 30 6 * * 0,1,3,5", "27-01-17T06:30 27-01-18T06:30 27-01-20T06:30"),
        ("0 0 1 * 1", "0 0 0 1 * 1", "27-01-18T00:00 27-01-25T00:00 27-02-01T00:00"),
        ("0 0 */10 * 1", "0 0 0 */10 * 1", "27-02-01T00:00 27-03-01T00:00 27-05-31T00:00"),
        ("54-54/3 4 * * *", "0 54 4 * * *", "27-01-16T04:54 27-01-17T04:54 27-01-18T04:54"),
        ("0 0 29 2 *", "0 0 0 29 2 *", "28-02-29T00:00 32-02-29T00:00 36-02-29T00:00"),
        ("5/25 0 * 12 sat", "0 5/25 0 * 12 6", "27-12-04T00:05 27-12-04T00:30 27-12-04T00:55"),
    ],
)  # fmt: skip
def test_the_times_are_those_that_kubeflow_reckons(five: str, six: str, times: str) -> None:
    """The times are what robfig/cron 1.2.0, which Kubeflow has, makes of the six fields."""
    parsed = cron.parse(five)
    assert cron.to_kubeflow(parsed) == six
    expected = times.split()
    assert [f"{t:%y-%m-%dT%H:%M}" for t in cron.next_times(parsed, NOW, len(expected))] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 3 * * *", "six fields"),
        ("0 3 * *", "4 fields"),
        ("", "0 fields"),
        ("60 3 * * *", "minute '60' is wrong"),
        ("0 24 * * *", "hour '24' is wrong"),
        ("0 3 0 * *", "day-of-month '0' is wrong"),
        ("0 3 * 13 *", "month '13' is wrong"),
        ("0 3 * * 8", "day-of-week '8' is wrong"),
        ("0 3 * * fri-mon", "(?i)day-of-week 'fri-mon' is wrong"),
        ("0 3 L * *", "day-of-month 'L' is wrong"),
        ("0 3 * * 1#2", "day-of-week '1#2' is wrong"),
        ("0 3 15W * *", "day-of-month '15W' is wrong"),
        ("0 3 ? * *", r"day-of-month '\?' is wrong"),
        ("*/0 3 * * *", r"minute '\*/0' is wrong"),
        ("*/60 3 * * *", "its step may be 1 to 59"),
        ("60 24 0 3 *", r"minute '60' .* hour '24' .* day-of-month '0'"),
        ("CRON_TZ=Asia/Tokyo 0 3 * * *", "leave CRON_TZ=Asia/Tokyo out"),
        ("0 3 30 2 *", "no such month has such a day"),
        ("@reboot", "--every"),
        ("@every 6h", "--every"),
        ("daily", "1 fields"),
    ],
)
def test_what_is_no_cron_expression_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        cron.parse(text)
    assert repr(text) in str(caught.value)


def test_the_next_times_are_told_in_utc() -> None:
    times = cron.next_times(cron.parse("0 3 * * sun"), NOW)
    assert [f"{time:%a %Y-%m-%d %H:%M %Z}" for time in times] == [
        "Sun 2027-01-17 03:00 UTC", "Sun 2027-01-24 03:00 UTC", "Sun 2027-01-31 03:00 UTC",
    ]  # fmt: skip
    until = datetime(2027, 1, 25, tzinfo=UTC)
    assert len(cron.next_times("0 3 * * SUN", NOW, 5, until)) == 2


def test_a_day_of_the_month_or_of_the_week_as_in_every_cron() -> None:
    """With both given, either is enough (POSIX crontab)."""
    times = cron.next_times(cron.parse("0 0 1 * 1"), NOW, 4)
    assert [time.day for time in times] == [18, 25, 1, 8]
    assert cron.to_kubeflow("0 0 1 * 1") == "0 0 0 1 * 1"


def test_leap_days_come() -> None:
    assert cron.next_times(cron.parse("0 0 29 2 *"), NOW, 1)[0].year == 2028


def test_what_kubeflow_holds_otherwise_is_shown_as_it_is() -> None:
    assert cron.from_kubeflow("30 0 3 * * *") == "30 0 3 * * *"
    assert cron.from_kubeflow("0 0 3 ? * MON") == "0 3 * * MON"
    assert cron.from_kubeflow("@daily") == "@daily"
