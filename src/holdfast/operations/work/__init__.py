"""The worker: claims batches, lets engines move them, settles what became of them, and makes good after the dead.

A turn of ``worker``, and where to look:
  * who is alive: ``presence``; what may still be done under a claim: ``fence``
  * what is asked for: ``asked``; what goes on again: ``rescue``, ``holding``; what the dead had deleted: ``looking``
  * what comes next: ``scheduling``; claiming it: ``taker``, ``taking``
  * a claim as a job: ``preparing``; under way: ``jobs``, ``copying`` with its ``desk``, ``deleting.job``
  * what came of it: ``claimed``, ``outcomes``; told: ``bookkeeping``, ``settling``, ``telling``; over: ``closing``
  * left behind: ``cleaning``; sites that rest: ``stops``; nothing to do: ``waiting``
"""
