"""How long what stays: days after which a rule of retention lets go. ``[gateway.retention]``."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

#: A mistyped 0 must not empty a table, nor a century keep what nobody meant to keep.
MAX_DAYS: Final = 36_500
Days = Annotated[int, Field(ge=1, le=MAX_DAYS)]


class Periods(BaseModel):
    """Days. Each begins when the thing is over: signed out, answered, closed, gone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sessions_days: Days = Field(
        default=7, description="sign-in sessions, codes and counters that are over"
    )
    links_days: Days = Field(
        default=7, description="links to a home's page and browsers there, once over"
    )
    sign_in_origins_days: Days = Field(
        default=400, description="addresses that people signed in from, in the audit"
    )
    outside_accounts_days: Days = Field(default=30, description="provider accounts that nobody linked")
    uploads_days: Days = Field(
        default=30,
        description="uploaded imports nobody applied; what an import replaced; files of no record",
    )
    register_answers_days: Days = Field(
        default=1, description="answers of the state's registers, once invalid"
    )
    requests_days: Days = Field(
        default=1095, description="what was said in a request, by whom, and the answer"
    )
    pictures_days: Days = Field(
        default=730, description="pictures from homes, taken at a commissioning"
    )
    street_pictures_days: Days = Field(
        default=90, description="pictures of streets kept as camera evidence"
    )
    delivery_proofs_days: Days = Field(
        default=730, description="who was told of a closed incident, and the proof"
    )
    incident_details_days: Days = Field(
        default=1825, description="notes, places and readings of closed incidents"
    )
    former_contacts_days: Days = Field(
        default=365, description="contacts and channels nobody is told on any more"
    )
    former_homes_days: Days = Field(
        default=365, description="address, place and people of removed homes"
    )
    set_aside_days: Days = Field(default=90, description="messages the city could not use, kept whole")
