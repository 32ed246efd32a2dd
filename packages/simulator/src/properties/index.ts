import type { Property } from '../observer.ts'
import { acknowledgedWrites } from './acknowledged-writes.ts'
import { appliedIsDurable } from './applied-is-durable.ts'
import { askedForReads } from './asked-for-reads.ts'
import { changesHaveOneOutcome } from './changes-have-one-outcome.ts'
import { commitNeedsQuorum } from './commit-needs-quorum.ts'
import { durablePromises } from './durable-promises.ts'
import { electedByMajority } from './elected-by-majority.ts'
import { electionSafety } from './election-safety.ts'
import { freshReads } from './fresh-reads.ts'
import { leaderCompleteness } from './leader-completeness.ts'
import { linearizableHistory } from './linearizable-history.ts'
import { logMatching } from './log-matching.ts'
import { membershipHistory } from './membership-history.ts'
import { nothingFalls } from './nothing-falls.ts'
import { oneOutcome } from './one-outcome.ts'
import { requestsSettle } from './requests-settle.ts'
import { stateMachineSafety } from './state-machine-safety.ts'
import { transfersEndAsTold } from './transfers-end-as-told.ts'

/** All that is checked in every simulation. */
export const PROPERTIES: readonly Property[] = [
  electionSafety,
  electedByMajority,
  logMatching,
  leaderCompleteness,
  stateMachineSafety,
  durablePromises,
  commitNeedsQuorum,
  appliedIsDurable,
  membershipHistory,
  changesHaveOneOutcome,
  acknowledgedWrites,
  oneOutcome,
  freshReads,
  askedForReads,
  linearizableHistory,
  nothingFalls,
  transfersEndAsTold,
  requestsSettle,
]
