"""``oppertune topics``: create and check what everything runs on."""

from typing import Annotated

import typer

from ....core.errors import CommandFailed
from ...broker import BrokerSettings, Problem, check_topics, create_topics
from ..console import line, out, report
from ..exit_codes import ExitCode
from ..outputs import TopicAdopted, TopicsChecked, TopicsCreated
from .connection import connected
from .options import AsJson

topics = typer.Typer(no_args_is_help=True, help="Create and check the topics that everything runs on.")


@topics.command("create", epilog="Example: oppertune topics create -b kafka-1:9092 --partitions 8 --replication 3")
@connected
def topics_create(
    *,
    settings: BrokerSettings,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="of every topic; cannot be changed later; else OPPERTUNE_PARTITIONS, else 8"
        ),
    ] = None,
    replication: Annotated[
        int | None,
        typer.Option(
            min=1, max=10, help="copies of each partition: 3 in production; else OPPERTUNE_REPLICATION, else 1"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create the topics that are missing, with the settings they need. Those that exist are left as they are."""
    created = create_topics(
        settings, partitions=partitions or settings.partitions, replication=replication or settings.replication
    )
    problems = check_topics(settings)
    if as_json:
        TopicsCreated(created=sorted(created), problems=[str(p) for p in problems]).show()
    else:
        out.print(line(f"created: {', '.join(sorted(created)) or 'nothing, all are there'}"), soft_wrap=True)
    _fail_on(problems)


@topics.command("check", epilog="Example: oppertune topics check -b kafka-1:9092")
@connected
def topics_check(*, settings: BrokerSettings, as_json: AsJson = False) -> None:
    """Say what is wrong with the topics, and how to mend it; exit code 7 if anything is."""
    problems = check_topics(settings)
    if as_json:
        TopicsChecked(problems=[str(p) for p in problems]).show()
    elif not problems:
        out.print("all topics are as they must be")
    _fail_on(problems)


@topics.command("adopt", epilog="Example: oppertune topics adopt metrics -b kafka-1:9092")
@connected
def topics_adopt(
    topic: Annotated[str, typer.Argument(help="contexts, metrics or commands")],
    *,
    settings: BrokerSettings,
    as_json: AsJson = False,
) -> None:
    """Go on with a topic that was deleted and created again. Tuners keep what they learned; run it once.

    Workers refuse such a topic: its new records look applied already. Stop them first; any that still runs is fenced.
    """
    from ...processor import SOURCES
    from ...worker import WorkerSettings, adopt

    if topic not in SOURCES:
        raise typer.BadParameter(f"{topic!r} is none of {', '.join(SOURCES)}")
    adopted = adopt(WorkerSettings(broker=settings), topic)
    sentence = f"adopted on {len(adopted)} partitions" if adopted else "nothing to adopt: the topic is the one known"
    report(TopicAdopted(topic=topic, partitions=adopted), sentence, as_json=as_json)


def _fail_on(problems: list[Problem]) -> None:
    if problems:
        raise CommandFailed("\n".join(map(str, problems)), ExitCode.TOPICS)
