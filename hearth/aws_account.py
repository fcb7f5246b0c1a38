"""Whose AWS account this is: asked before anything is done in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inventory.errors import HearthError

if TYPE_CHECKING:
    import boto3

    from inventory.cloud.model import Environment


@dataclass(frozen=True, slots=True)
class AwsAccount:
    """An account that answers.

    Attributes:
        id: twelve digits.
        caller: ARN of who asks.
        session: with the environment's region.
    """

    id: str
    caller: str
    session: boto3.Session


def require_account(argument: str, environment: Environment) -> AwsAccount:
    """The account that the credentials here are of.

    Args:
        argument: the environment as the person named it.
        environment: the same, loaded.

    Raises:
        HearthError: There are no credentials, they are refused, AWS cannot be reached, or the
            account is not the environment's.
    """
    try:
        import boto3  # noqa: PLC0415 - installed for environments only
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ModuleNotFoundError:
        raise HearthError(f"{argument}: boto3 is not installed; run `make setup-cloud`") from None
    try:
        session = boto3.Session(region_name=environment.region)
        if session.get_credentials() is None:
            raise HearthError(
                f"{argument}: there are no AWS credentials here; log in (`aws sso login`, or set "
                f"AWS_PROFILE), or see the plan without: `hearth preview {argument}`"
            )
        caller = session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise HearthError(
            f"{argument}: AWS does not take these credentials, or cannot be reached ({error}); log "
            f"in again, or see the plan without: `hearth preview {argument}`"
        ) from None
    if environment.account not in {None, caller["Account"]}:
        raise HearthError(
            f"{argument}: its account is {environment.account}, these credentials are of "
            f"{caller['Account']} ({caller['Arn']}); log in to the right one, or mend `account`"
        )
    return AwsAccount(caller["Account"], caller["Arn"], session)
