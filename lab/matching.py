"""Which ready job a host should claim: what it can serve, best priority first, at random among equals."""

from __future__ import annotations

from lab.host import Capacity
from lab.job import JobSpec, JobState
from lab.paths import PRIORITIES
from lab.queue import Queue
from lab.token import Token

AMONG = 256  # random among the oldest of the best priority: two hosts seldom reach for the same token


def servable(spec: JobSpec, capacity: Capacity) -> bool:
    """Whether the host could run it if it were idle."""
    wants = spec.resources
    if wants.cpus > capacity.cpus or wants.gpus > capacity.gpus:
        return False
    if wants.gpus and wants.gpu_type is not None and wants.gpu_type not in capacity.gpu_types:
        return False
    return capacity.roles.issuperset(wants.roles)


def choose(queue: Queue, capacity: Capacity, free_cpus: int, free_gpus: int) -> tuple[JobSpec, Token] | None:
    """The job to claim next, or None.

    A job of several slots that the host could serve, but not right now, reserves what it needs: younger and less
    urgent jobs get only what is left, so it cannot starve behind small ones.
    """
    classes = [klass for klass in capacity.classes() if klass == "cpu" or free_gpus > 0]
    for prio in PRIORITIES:
        folders = [queue.ready_folders[klass, prio] for klass in classes]
        found = [(token, folder) for folder in folders for token in queue.tokens(folder)]
        fitting: list[tuple[JobSpec, Token]] = []
        for token, folder in sorted(found, key=lambda item: item[0].seq):
            spec = queue.spec_or_none(token.job)
            if spec is None or not servable(spec, capacity):
                continue
            if folder != queue.folder(JobState.ready, spec):
                # Moved here by hand: a rename from where it should be would never find it.
                right = queue.folder(JobState.ready, spec)
                queue.complain(f"{folder}/{token.name}", f"{folder}/{token.name}: belongs in {right}, left alone")
                continue
            wants = spec.resources
            if wants.cpus <= free_cpus and wants.gpus <= free_gpus:
                fitting.append((spec, token))
                if len(fitting) == AMONG:
                    break
            elif wants.cpus > 1 or wants.gpus > 1:
                free_cpus -= wants.cpus
                free_gpus -= wants.gpus
        if fitting:
            return queue.rng.choice(fitting)
    return None
