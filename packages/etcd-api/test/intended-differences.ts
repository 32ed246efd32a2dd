/**
 * Where this server does not answer what etcd 3.4 answers, on purpose: it does what etcd 3.6 does.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Step } from './random-requests.ts'

export interface Difference {
  readonly why: string
  covers(step: Step, theirs: unknown, ours: unknown): boolean
}

const COMPACTED = { code: 11, details: 'etcdserver: mvcc: required revision has been compacted' }

const HASH = 'Maintenance/HashKV'
const PUT_REFUSALS = ['etcdserver: requested lease not found', 'etcdserver: key not found']
const RANGE_REFUSALS = [
  COMPACTED.details,
  'etcdserver: mvcc: required revision is a future revision',
]

export const INTENDED: readonly Difference[] = [
  {
    why: 'HashKV says since 3.6 at which revision it hashed',
    covers: ({ method }, theirs, ours) =>
      method === HASH && isDeepStrictEqual(without(ours, 'hash_revision'), theirs),
  },
  {
    why: 'HashKV takes the compacted revision itself since 3.5, as reads do',
    covers: ({ method }, theirs, ours) =>
      method === HASH && isDeepStrictEqual(theirs, COMPACTED) && isOfTheCompacted(ours),
  },
  {
    why: 'a transaction is refused since 3.6 for the first of its operations that would fail; before, for puts first',
    covers: ({ method }, theirs, ours) =>
      method === 'KV/Txn' && isRefusal(PUT_REFUSALS, theirs) && isRefusal(RANGE_REFUSALS, ours),
  },
]

/**
 * What is not asked, because etcd 3.4 goes another way from there: sort orders and targets that do
 * not exist (refused since 3.6; before, unsorted), watches from a revision below 0 (refused since
 * 3.4.34; before, created and canceled), deletes at the very revision that was compacted (told since
 * 3.4.36), and progress, which etcd 3.4 told without looking whether
 * it was true. Each has a test of its own elsewhere.
 */
export function intended(step: Step, theirs: unknown, ours: unknown): Difference | undefined {
  return INTENDED.find(({ covers }) => covers(step, theirs, ours))
}

function isRefusal(texts: readonly string[], answer: unknown): boolean {
  return texts.includes((answer as { details?: string }).details ?? '')
}

function isOfTheCompacted(answer: unknown): boolean {
  const { compact_revision, hash_revision } = answer as Record<string, unknown>
  return compact_revision !== undefined && compact_revision === hash_revision
}

function without(answer: unknown, field: string): unknown {
  return Object.fromEntries(Object.entries(answer as object).filter(([name]) => name !== field))
}
