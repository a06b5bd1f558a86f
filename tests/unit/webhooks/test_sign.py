import base64
import datetime as dt

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from processor_service.webhooks.deliver import UnusableSecretError, secrets_for, signed_headers
from shared.secret import Secret
from tests.service.webhooks.conftest import SECRET, settings_with

BODY = '{"type": "job.completed",  "data": "größe"}'
NEW, OLD, FOREIGN = (f"whsec_{base64.b64encode(one * 32).decode()}" for one in (b"n", b"o", b"f"))


def _headers(*secrets: str, at: dt.datetime | None = None) -> dict[str, str]:
    return signed_headers([Secret(secret) for secret in secrets], "evt_1", BODY, at=at or dt.datetime.now(dt.UTC))


def test_the_reference_library_verifies_it() -> None:
    headers = _headers(SECRET)

    Webhook(SECRET).verify(BODY, headers)
    assert headers["webhook-id"] == "evt_1"
    assert headers["user-agent"] == "Headrace/1"


def test_two_secrets_make_two_signatures_and_each_verifies() -> None:
    headers = _headers(NEW, OLD)

    Webhook(NEW).verify(BODY, headers)
    Webhook(OLD).verify(BODY, headers)
    assert len(headers["webhook-signature"].split(" ")) == 2
    with pytest.raises(WebhookVerificationError):
        Webhook(FOREIGN).verify(BODY, headers)


def test_another_body_does_not_verify() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY.replace("  ", " "), _headers(NEW))


@pytest.mark.parametrize("hours", [-8, 0, 5.75])
def test_the_time_zone_of_the_clock_does_not_matter(hours: float) -> None:
    at = dt.datetime.now(dt.timezone(dt.timedelta(hours=hours)))

    headers = _headers(SECRET, at=at)

    Webhook(SECRET).verify(BODY, headers)
    assert headers["webhook-timestamp"] == str(int(at.timestamp()))


def test_only_the_jobs_own_secret_signs() -> None:
    settings = settings_with(webhook_secret=Secret(NEW), webhook_previous_secret=Secret(OLD))

    assert secrets_for(Secret(SECRET), [Secret(NEW)], settings) == (Secret(SECRET),)


def test_the_services_secret_and_its_previous_one_sign() -> None:
    assert secrets_for(None, [], settings_with(webhook_secret=Secret(NEW), webhook_previous_secret=Secret(OLD))) == (
        Secret(NEW),
        Secret(OLD),
    )
    assert secrets_for(None, [], settings_with(webhook_secret=Secret(NEW))) == (Secret(NEW),)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_AAAAAAAAAAAAAAAAA"])
def test_an_invalid_secret_signs_nothing_and_is_not_shown(secret: str) -> None:
    with pytest.raises(UnusableSecretError) as refused:
        _headers(NEW, secret)
    assert "AAAA" not in str(refused.value)


def test_without_any_secret_nothing_is_signed() -> None:
    with pytest.raises(UnusableSecretError, match="HEADRACE_WEBHOOK_SECRET"):
        secrets_for(None, [], settings_with(webhook_previous_secret=Secret(OLD)))


def test_the_secrets_of_the_tenant_replace_those_of_the_service() -> None:
    settings = settings_with(webhook_secret=Secret(FOREIGN))
    assert secrets_for(None, [Secret(NEW)], settings) == (Secret(NEW),)
    assert secrets_for(None, [Secret(NEW), Secret(OLD)], settings) == (Secret(NEW), Secret(OLD))
    assert secrets_for(None, [Secret(NEW)], settings_with()) == (Secret(NEW),)


def test_the_service_signs_too_while_receivers_change_to_the_first_secret_of_the_tenant() -> None:
    settings = settings_with(webhook_secret=Secret(FOREIGN), webhook_previous_secret=Secret(OLD))
    assert secrets_for(None, [Secret(NEW), Secret("")], settings) == (Secret(NEW), Secret(FOREIGN), Secret(OLD))
    assert secrets_for(None, [Secret(NEW), Secret("")], settings_with()) == (Secret(NEW),)
