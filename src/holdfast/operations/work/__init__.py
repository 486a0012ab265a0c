"""The worker: claims batches, lets engines move them, settles what became of them, and makes good after the dead.

``worker`` alone knows the order of events. It asks the others, and hands on what they answer; they do not write into
each other. What one claim is, for copies and deletions alike, is in ``carrying``.

A turn, and where to look:
  * who is alive: ``presence``; what may still be done under a claim: ``carrying.fence``
  * what is asked for: ``open_requests``; what goes on again: ``rescue``, ``holding``; what the dead had deleted:
    ``looking``
  * what comes next: ``scheduling``; claiming it: ``taker``, ``carrying.taking``, ``deleting.claiming``
  * a claim as a job: ``preparing``; under way: ``worker_jobs``, ``copying`` with its ``desk``, ``deleting.job``
  * what came of it: ``carrying.claimed``, ``carrying.outcomes``; told: ``bookkeeping``, ``settling``,
    ``telling``; over: ``closing``
  * left behind: ``leftovers``; sites that rest: ``stops``; nothing to do: ``pauses``; in the end: ``reporting``
"""
