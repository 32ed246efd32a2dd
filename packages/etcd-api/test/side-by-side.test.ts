import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServer } from '../src/index.ts'
import { rawClient, text, wireId } from './harness.ts'
import { intended } from './intended-differences.ts'
import { random } from './random.ts'
import { KEEP_ALIVE, randomRequests, type Step, WATCH } from './random-requests.ts'
import { isInstalled, startRealEtcd } from './real-etcd.ts'
import { exact, type Side, sideOf } from './side.ts'

const SEQUENCES = Number(process.env['CORACLE_SIDE_BY_SIDE'] ?? 200)
const FIRST_SEED = Number(process.env['CORACLE_SEED'] ?? 1)
const STEPS = 25
/** One sequence in so many is about watches: these wait for etcd, which looks at the past ten times a second. */
const WATCHES = 5
/** Servers that are compared at the same time: most of it is waiting. */
const PAIRS = 3

const key = text('k')
const put = (each: string): object => ({ request_put: { key: text(each) } })
const puts = (count: number): object[] => Array.from({ length: count }, (_, i) => put(`k${i}`))
const nested = (depth: number, innermost: object): object =>
  depth === 0 ? innermost : { request_txn: { success: [nested(depth - 1, innermost)] } }

/** Requests of which random ones are never so large, or so deep. */
const LIMITS: Readonly<Record<string, Step>> = {
  'a value of a megabyte': {
    method: 'KV/Put',
    request: { key, value: new Uint8Array(1_000_000), prev_kv: true },
  },
  'a value beyond the limit of requests': {
    method: 'KV/Put',
    request: { key, value: new Uint8Array(1_600_000) },
  },
  'a value beyond the limit of messages': {
    method: 'KV/Put',
    request: { key, value: new Uint8Array(2_200_000) },
  },
  'a key of a megabyte': { method: 'KV/Put', request: { key: new Uint8Array(1_000_000).fill(97) } },
  'the largest range': { method: 'KV/Range', request: { key, range_end: Uint8Array.of(0) } },
  'as many operations as there may be': { method: 'KV/Txn', request: { success: puts(128) } },
  'one too many': { method: 'KV/Txn', request: { failure: puts(129) } },
  'as many comparisons as there may be': {
    method: 'KV/Txn',
    request: { compare: Array.from({ length: 128 }, () => ({ key })) },
  },
  'one comparison too many': {
    method: 'KV/Txn',
    request: { compare: Array.from({ length: 129 }, () => ({ key })) },
  },
  'too many in a transaction inside, which gets what is left': {
    method: 'KV/Txn',
    request: { success: [{ request_txn: { success: puts(127) } }, put('a'), put('b')] },
  },
  'as many in one inside as are left': {
    method: 'KV/Txn',
    request: { success: [{ request_txn: { success: puts(127) } }] },
  },
  'transactions inside transactions': {
    method: 'KV/Txn',
    request: { success: [nested(60, put('deep'))] },
  },
  'a put and a delete of the same key': {
    method: 'KV/Txn',
    request: { success: [put('k'), { request_delete_range: { key, range_end: text('l') } }] },
  },
  'a put of the same key in both branches of one inside': {
    method: 'KV/Txn',
    request: { success: [{ request_txn: { success: [put('x')], failure: [put('x')] } }] },
  },
  'a put of the same key inside and outside': {
    method: 'KV/Txn',
    request: { success: [{ request_txn: { failure: [put('x')] } }, put('x')] },
  },
  'the longest lease': { method: 'Lease/LeaseGrant', request: { ID: 77, TTL: 9_000_000_000 } },
  'a lease that is too long': {
    method: 'Lease/LeaseGrant',
    request: { ID: 78, TTL: 9_000_000_001 },
  },
  'a lease of the longest time that can be said': {
    method: 'Lease/LeaseGrant',
    request: { ID: 79, TTL: wireId(2n ** 63n - 1n) },
  },
  'a lease of less than no time': { method: 'Lease/LeaseGrant', request: { ID: 80, TTL: -7 } },
  'what is left of that': { method: 'Lease/LeaseTimeToLive', request: { ID: 80, keys: true } },
  'its end': { method: 'Lease/LeaseRevoke', request: { ID: 80 } },
  'a lease of no id': { method: 'Lease/LeaseRevoke', request: {} },
  'a renewal of no id': { method: KEEP_ALIVE, request: {} },
  'the hash of the future': { method: 'Maintenance/HashKV', request: { revision: 999_999 } },
  'a compaction of the future': { method: 'KV/Compact', request: { revision: 999_999 } },
  'a compaction below 0': { method: 'KV/Compact', request: { revision: -1 } },
}

type Sides = readonly [theirs: Side, ours: Side]

interface Pair extends AsyncDisposable {
  readonly sides: Sides
}

async function startPair(): Promise<Pair> {
  const etcd = await startRealEtcd()
  const ours = await startServer({ listen: ['127.0.0.1:0'] })
  const client = rawClient(ours.addresses[0] ?? '')
  const sides = [sideOf(etcd.client), sideOf(client)] as const
  return {
    sides,
    async [Symbol.asyncDispose]() {
      for (const side of sides) side[Symbol.dispose]()
      client[Symbol.dispose]()
      await ours[Symbol.asyncDispose]()
      await etcd[Symbol.asyncDispose]()
    },
  }
}

function sideBySide(): void {
  let pairs: readonly Pair[]
  beforeAll(async () => {
    pairs = await Promise.all(Array.from({ length: PAIRS }, startPair))
  }, 30_000)
  afterAll(async () => {
    await Promise.all(pairs.map((pair) => pair[Symbol.asyncDispose]()))
  })

  describe('etcd and this server cannot be told apart', () => {
    test('by sequences of random requests', { timeout: 3_600_000 }, async () => {
      let seed = FIRST_SEED
      const compareSome = async ({ sides }: Pair): Promise<void> => {
        while (seed < FIRST_SEED + SEQUENCES) await compareSequence(sides, seed++)
      }
      await Promise.all(pairs.map(compareSome))
    })

    test.each(Object.entries(LIMITS))('at the limits: %s', async (_, step) => {
      const { sides } = pairs[0] as Pair
      const [theirs, own] = await Promise.all(sides.map((side) => side.take(step)))
      expect(own).toEqual(theirs)
    })
  })
}

async function compareSequence(sides: Sides, seed: number): Promise<void> {
  const dice = random(seed)
  const isWatching = seed % WATCHES === 0
  const requests = randomRequests(dice, isWatching)
  const steps: Step[] = []
  await Promise.all(sides.map((side) => side.begin()))
  for (let i = 0; i < STEPS; i++) {
    const step = requests.next(sides[1].revision)
    if (isWatching && cutsStoriesShort(step)) await expectSameStories(sides, seed, steps)
    steps.push(step)
    const [theirs, own] = await Promise.all(sides.map((side) => side.take(step)))
    if (intended(step, theirs, own) !== undefined) continue
    expect({ seed, step, answer: own }).toEqual({ seed, step, answer: theirs })
  }
  if (isWatching) await expectSameStories(sides, seed, steps)
}

/** What watchers have not been told before these they may be told, or not. */
function cutsStoriesShort({ method, request }: Step): boolean {
  return method === 'KV/Compact' || (method === WATCH && 'cancel_request' in request)
}

async function expectSameStories(
  sides: Sides,
  seed: number,
  steps: readonly Step[],
): Promise<void> {
  await Promise.all(sides.map((side) => side.settle()))
  const giveUp = performance.now() + 3_000
  for (;;) {
    const [theirs, ours] = sides.map(({ watched }) => watched)
    try {
      expect({ seed, watched: ours }).toEqual({ seed, watched: theirs })
      return
    } catch (error) {
      if (performance.now() > giveUp) throw new Error(readable(steps), { cause: error })
      await setTimeout(10)
    }
  }
}

function readable(steps: readonly Step[]): string {
  return steps
    .map(({ method, request }) => `${method} ${JSON.stringify(exact(request))}`)
    .join('\n')
}

if (isInstalled('etcd')) sideBySide()
