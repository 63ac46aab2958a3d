"""The composition root: settings in, a wired application out. The only place that constructs adapters.

Everything is made when it is first asked for and once: a process that only accepts messages never loads what delivers
them. Nothing here connects.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from relay import ids
from relay import settings as relay_settings
from relay.accept import Acceptance
from relay.allowances import Allowances
from relay.clients import Clients
from relay.idempotency import Idempotency
from relay.settings import Settings
from relay.storage.ports import Storage
from relay.telemetry import OFF, Telemetry

if TYPE_CHECKING:
    from relay.api.app import Api
    from relay.api.authentication import Authentication
    from relay.attempts import Attempts
    from relay.checks import Checks
    from relay.content import Content
    from relay.deadletters import DeadLetters
    from relay.deliver import Delivery
    from relay.groups import Groups
    from relay.holds import Holds
    from relay.identity import Credentials
    from relay.inbox import Inbox
    from relay.ingest.apply import Events
    from relay.ingest.mailboxes import Mailboxes
    from relay.inquiry import Inquiry
    from relay.interventions import Interventions
    from relay.journal import Journal
    from relay.key_vault import KeyVault
    from relay.listing import Listing
    from relay.lostmail import LostMail
    from relay.overview import Overview
    from relay.pending import Pending
    from relay.poison import Poison
    from relay.prospects import Prospects
    from relay.providers.contract import Provider, Surroundings
    from relay.purge import Purge
    from relay.recovery import Recovery
    from relay.secrets import SecretSource
    from relay.settlement import Aftermath
    from relay.spread import Spread
    from relay.suppressions import Suppressions
    from relay.templates.store import Templates
    from relay.uploads import Uploads
    from relay.vitals import Vitals
    from relay.webhooks.deliver import Webhooks
    from relay.webhooks.poster import Poster


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


def start(environment: Mapping[str, str]) -> "Relay":
    """The application that this environment describes. Raises `SettingsError` with every fault."""
    from relay.storage.azure import create_storage

    return Relay(relay_settings.load(environment), create_storage(environment))


class Relay:
    """The application. Belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        *,
        clock: Callable[[], datetime] = utc_now,
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], Any] = asyncio.sleep,
        new_batch: Callable[[], str] = ids.new_batch_id,
    ) -> None:
        self.settings = settings
        self.storage = storage
        self.clock = clock
        self._draw = draw
        self.sleep = sleep
        self.new_batch = new_batch
        self._session: Any = None
        self._providers: dict[str, Provider] = {}

    # ── accepting ──

    @cached_property
    def clients(self) -> Clients:
        """Who may call."""
        return Clients(self.storage.tables, self.clock)

    @cached_property
    def authentication(self) -> "Authentication":
        """Who calls."""
        from relay.api.authentication import Authentication
        from relay.api.failures import Failures

        is_on = self.settings.application.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"
        return Authentication(self.clients, Failures(self.clock), trusts_entra=is_on)

    @cached_property
    def acceptance(self) -> Acceptance:
        """Use case 1."""
        return Acceptance(
            settings=self.settings,
            queues=self.storage.queues,
            blobs=self.storage.blobs,
            allowances=self.allowances,
            clock=self.clock,
            new_batch=self.new_batch,
            telemetry=self.telemetry,
        )

    @cached_property
    def allowances(self) -> Allowances:
        """How much each client may send."""
        return Allowances(self.storage.tables, self.clock)

    @cached_property
    def idempotency(self) -> Idempotency:
        """The same request twice."""
        return Idempotency(self.storage.tables, self.clock, self.new_batch)

    @cached_property
    def suppressions(self) -> "Suppressions":
        """Who is not sent to."""
        from relay.suppressions import Suppressions

        return Suppressions(self.storage.tables, self.clock, self.settings.suppression_rules)

    @cached_property
    def api(self) -> "Api":
        """The HTTP door."""
        from relay.api.app import Api
        from relay.api.table import OPERATIONS, PAGES, SHAPES

        return Api(self, OPERATIONS + PAGES, SHAPES)

    # ── delivering ──

    @cached_property
    def journal(self) -> "Journal":
        """What became of every batch."""
        from relay.journal import Journal

        return Journal(self.storage.tables, self.clock)

    @cached_property
    def pending(self) -> "Pending":
        """What waits."""
        from relay.pending import Pending

        return Pending(self.storage.tables)

    @cached_property
    def holds(self) -> "Holds":
        """Which routes are held."""
        from relay.holds import Holds

        return Holds(self.storage.tables, self.clock)

    @cached_property
    def dead_letters(self) -> "DeadLetters":
        """What was given up on."""
        from relay.deadletters import DeadLetters

        return DeadLetters(self.storage.tables, self.storage.blobs, self.clock)

    @cached_property
    def content(self) -> "Content":
        """The content of messages."""
        from relay.content import Content

        return Content(self.storage.blobs)

    @cached_property
    def prospects(self) -> "Prospects":
        """What planning needs to know."""
        from relay.prospects import Prospects

        return Prospects(self.settings, self.holds, self.content)

    @cached_property
    def aftermath(self) -> "Aftermath":
        """What follows from a record."""
        from relay.settlement import Aftermath

        return Aftermath(
            queues=self.storage.queues,
            pending=self.pending,
            dead_letters=self.dead_letters,
            lanes=self.settings.lanes,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    @cached_property
    def attempts(self) -> "Attempts":
        """Who makes attempts."""
        from relay.attempts import Attempts
        from relay.breaker import Breaker
        from relay.pacing import Pacing
        from relay.routefaults import RouteWatch

        return Attempts(
            settings=self.settings,
            providers=self.provider,
            can_verify=self.prospects.can_verify,
            content=self.content,
            groups=self.groups,
            watch=RouteWatch(self.settings, self.holds, Breaker()),
            pacing=Pacing(self.storage.tables, self.clock),
            clock=self.clock,
            random=self._draw,
            telemetry=self.telemetry,
        )

    @cached_property
    def groups(self) -> "Groups":
        """What callers have grouped and stopped."""
        from relay.groups import Groups

        return Groups(self.storage.tables, self.journal, self.clock)

    @cached_property
    def spread(self) -> "Spread":
        """Requests that were accepted as one entry."""
        from relay.spread import Spread

        return Spread(queues=self.storage.queues, blobs=self.storage.blobs, lanes=self.settings.lanes)

    @cached_property
    def delivery(self) -> "Delivery":
        """Use case 2."""
        from relay.deliver import Delivery

        return Delivery(
            journal=self.journal,
            holds=self.holds,
            prospects=self.prospects,
            attempts=self.attempts,
            spread=self.spread,
            aftermath=self.aftermath,
            dead_letters=self.dead_letters,
            queues=self.storage.queues,
            clock=self.clock,
            sleep=self.sleep,
            settle_seconds=self.settings.attempt_seconds,
        )

    def provider(self, route: str) -> "Provider":
        """The provider of a route, made once. Raises `KeyError` for a route that is not configured."""
        if route not in self._providers:
            from relay.providers.registry import provider_module

            configured = self.settings.routes[route]
            module = provider_module(configured.provider)
            self._providers[route] = module.create(route, configured.settings, self.surroundings)
        return self._providers[route]

    @cached_property
    def surroundings(self) -> "Surroundings":
        """What providers are given."""
        from relay.providers.contract import Surroundings

        return Surroundings(
            http=self.http,
            blobs=self.storage.blobs,
            secrets=self.secrets,
            clock=self.clock,
            credential=self.credentials,
            sleep=self.sleep,
        )

    @cached_property
    def secrets(self) -> "SecretSource":
        """Where keys come from."""
        from relay.secrets import SecretSource

        return SecretSource(application=self.settings.application, clock=self.clock, vault=self.vault)

    @cached_property
    def vault(self) -> "KeyVault | None":
        """Key Vault, where the settings name one."""
        if not self.settings.key_vault_url:
            return None
        from relay.identity import application_credential
        from relay.key_vault import KeyVault

        application = self.settings.application
        return KeyVault(
            url=self.settings.key_vault_url,
            credential=lambda: application_credential(application, self.http()),
            http=self.http,
            clock=self.clock,
        )

    @cached_property
    def credentials(self) -> "Credentials":
        """Tokens from Microsoft Entra."""
        from relay.identity import Credentials

        return Credentials(http=self.http, secrets=self.secrets)

    def http(self) -> Any:
        """The one pooled `aiohttp.ClientSession` of the process."""
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    # ── looking after ──

    @cached_property
    def recovery(self) -> "Recovery":
        """The timer of every minute."""
        from relay.recovery import Recovery

        return Recovery(
            settings=self.settings,
            journal=self.journal,
            pending=self.pending,
            holds=self.holds,
            aftermath=self.aftermath,
            providers=self.provider,
            clock=self.clock,
        )

    @cached_property
    def vitals(self) -> "Vitals":
        """How Relay is, for the alert rules."""
        from relay.vitals import Vitals

        return Vitals(self.settings, self.storage.queues, self.holds, self.clock, self.telemetry)

    @cached_property
    def telemetry(self) -> Telemetry:
        """What is counted and traced, where RELAY_TELEMETRY asks for it."""
        if not self.settings.telemetry:
            return OFF
        from relay.identity import blocking_credential
        from relay.telemetry_start import telemetry_of

        application = self.settings.application
        return telemetry_of(self.settings.telemetry, application, self.clock, lambda: blocking_credential(application))

    @cached_property
    def overview(self) -> "Overview":
        """What became of what was accepted."""
        from relay.overview import Overview

        return Overview(self.journal, self.clock)

    @cached_property
    def checks(self) -> "Checks":
        """The questions about what was taken, of every minute too."""
        from relay.checks import Checks

        return Checks(
            settings=self.settings,
            journal=self.journal,
            pending=self.pending,
            aftermath=self.aftermath,
            content=self.content,
            providers=self.provider,
            clock=self.clock,
        )

    @cached_property
    def poison(self) -> "Poison":
        """What the host gave up on."""
        from relay.poison import Poison

        return Poison(
            journal=self.journal,
            aftermath=self.aftermath,
            dead_letters=self.dead_letters,
            spread=self.spread,
            queues=self.storage.queues,
            clock=self.clock,
            sleep=self.sleep,
        )

    @cached_property
    def purge(self) -> "Purge":
        """The timer of every day."""
        from relay.purge import Purge

        return Purge(
            tables=self.storage.tables,
            blobs=self.storage.blobs,
            journal=self.journal,
            uploads=self.uploads,
            retention_days=self.settings.retention_days,
            clock=self.clock,
        )

    @cached_property
    def interventions(self) -> "Interventions":
        """What callers and operators change."""
        from relay.interventions import Interventions

        return Interventions(
            settings=self.settings,
            journal=self.journal,
            pending=self.pending,
            aftermath=self.aftermath,
            dead_letters=self.dead_letters,
            clock=self.clock,
            draw=self._draw,
        )

    @cached_property
    def lost_mail(self) -> "LostMail":
        """What a provider took and lost."""
        from relay.lostmail import LostMail

        return LostMail(journal=self.journal, interventions=self.interventions, content=self.content)

    @cached_property
    def events(self) -> "Events":
        """Use case 3: what vendors tell later."""
        from relay.ingest.apply import Events

        return Events(
            journal=self.journal,
            queues=self.storage.queues,
            dead_letters=self.dead_letters,
            followers=(self.suppressions, self.webhooks),
            content=self.content.stored,
            sleep=self.sleep,
        )

    @cached_property
    def webhooks(self) -> "Webhooks":
        """Use case 4: what callers are told of it."""
        from relay.webhooks.deliver import Webhooks
        from relay.webhooks.subscriptions import Subscriptions

        return Webhooks(
            subscriptions=Subscriptions(self.storage.tables, self.clock),
            poster=self.poster,
            queues=self.storage.queues,
            tables=self.storage.tables,
            dead_letters=self.dead_letters,
            source=self.settings.public_url or "urn:relay",
            clock=self.clock,
            draw=self._draw,
        )

    @cached_property
    def poster(self) -> "Poster":
        """What makes posts to addresses that callers chose."""
        from relay.webhooks.guard import Guard
        from relay.webhooks.poster import Poster

        return Poster(Guard(allows_loopback=self.settings.webhooks_allow_loopback), self.clock)

    @cached_property
    def mailboxes(self) -> "Mailboxes":
        """The timer that reads mailboxes for bounces."""
        from relay.ingest.mailboxes import Mailboxes

        return Mailboxes(
            mailboxes=self.settings.bounce_mailboxes,
            providers=self.provider,
            events=self.events,
            tables=self.storage.tables,
            clock=self.clock,
        )

    @cached_property
    def inquiry(self) -> "Inquiry":
        """What became of a message."""
        from relay.inquiry import Inquiry

        return Inquiry(self.journal, self.clients, retention_days=self.settings.retention_days, clock=self.clock)

    @cached_property
    def uploads(self) -> "Uploads":
        """Files that messages may name."""
        from relay.uploads import Uploads

        return Uploads(tables=self.storage.tables, blobs=self.storage.blobs, clock=self.clock, new_id=self.new_batch)

    @cached_property
    def templates(self) -> "Templates":
        """Templates that messages may name."""
        from relay.templates.store import Templates

        return Templates(self.storage.tables, self.clock)

    @cached_property
    def listing(self) -> "Listing":
        """Messages by time, newest first."""
        from relay.listing import Listing

        return Listing(self.journal)

    @cached_property
    def inbox(self) -> "Inbox":
        """What the capture route caught."""
        from relay.inbox import Inbox

        return Inbox(self.storage.blobs, self.clock)

    async def create_storage(self) -> None:
        """Create every queue, table and container that does not exist yet."""
        from relay.storage_plan import CONTAINERS, TABLES, queues_of

        for queue in queues_of(self.settings.lanes):
            await self.storage.queues.create(queue)
        for table in TABLES:
            await self.storage.tables.create(table)
        for container in CONTAINERS:
            await self.storage.blobs.create(container)

    async def close(self) -> None:
        """Release connections."""
        for provider in self._providers.values():
            await provider.close()
        if "telemetry" in self.__dict__:
            await asyncio.to_thread(self.telemetry.close)
        if "poster" in self.__dict__:
            await self.poster.close()
        if "credentials" in self.__dict__:
            await self.credentials.close()
        if "vault" in self.__dict__ and self.vault is not None:
            await self.vault.close()
        if self._session is not None:
            await self._session.close()
        close = getattr(self.storage, "close", None)
        if close is not None:
            await close()
