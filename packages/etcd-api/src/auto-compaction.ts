/**
 * History is forgotten by itself, as etcd does it where it is told to: the leader compacts, through
 * the log like any client. Every member keeps note of what it would compact, so that a new leader
 * goes on where the last one was.
 */
import { encodeCommand } from '@coracle/kv-state-machine'
import type { ServiceContext } from './context.ts'

/** How much history is kept: that of a time, or so many revisions. */
export type AutoCompaction =
  | { readonly mode: 'periodic'; readonly retentionMs: number }
  | { readonly mode: 'revision'; readonly retention: number }

/** Of the retention: compacting a little often disturbs less than compacting much at once. */
const LOOKS_PER_RETENTION = 10
/** By the number of revisions, as often as etcd looks. */
const REVISION_INTERVAL_MS = 300_000

/** Compacts until it is disposed. Throws a RangeError for a policy that makes no sense. */
export function autoCompactor(context: ServiceContext, policy: AutoCompaction): Disposable {
  const { environment, stateMachine } = context.options
  const target = policy.mode === 'periodic' ? byAge(policy.retentionMs) : byCount(policy.retention)
  let isUnderWay = false
  const compact = async (revision: number): Promise<void> => {
    isUnderWay = true
    const command = encodeCommand({ type: 'compact', request: { revision } })
    try {
      await context.proposeOwn(command)
    } finally {
      isUnderWay = false
    }
  }
  const look = (): void => {
    const revision = target.next(environment.now(), stateMachine.revision)
    const { leader } = context.leadership
    if (leader === null || leader !== context.options.node.status().id || isUnderWay) return
    if (revision <= Math.max(stateMachine.compactRevision, 0)) return
    // Whatever keeps it from happening now, the next look asks for it again, and for more.
    compact(revision).catch(() => {})
  }
  const stop = environment.every(target.intervalMs, look)
  return { [Symbol.dispose]: stop }
}

interface Target {
  readonly intervalMs: number
  /** Up to which revision to compact now; below 1 for nothing. Called at every look. */
  next(now: number, revision: number): number
}

/** The revision there was a retention ago. */
function byAge(retentionMs: number): Target {
  if (!(retentionMs >= LOOKS_PER_RETENTION && Number.isSafeInteger(retentionMs)))
    throw new RangeError(
      `history is kept for a whole number of at least ${LOOKS_PER_RETENTION} milliseconds, not ${retentionMs}`,
    )
  const seen: { readonly at: number; readonly revision: number }[] = []
  return {
    intervalMs: Math.floor(retentionMs / LOOKS_PER_RETENTION),
    next(now, revision) {
      seen.push({ at: now, revision })
      const since = now - retentionMs
      while ((seen[1]?.at ?? Number.POSITIVE_INFINITY) <= since) seen.shift()
      const [oldest] = seen
      return oldest !== undefined && oldest.at <= since ? oldest.revision : 0
    },
  }
}

function byCount(retention: number): Target {
  if (!(Number.isSafeInteger(retention) && retention >= 1))
    throw new RangeError(`a whole number of at least 1 revisions is kept, not ${retention}`)
  return { intervalMs: REVISION_INTERVAL_MS, next: (_now, revision) => revision - retention }
}
