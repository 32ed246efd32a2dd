import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  encodeCommand,
  type KeyInterval,
  type KeyValue,
  kvStateMachine,
  type KvCommand,
  type KvStateMachine,
  type Watcher,
  type WatchBatch,
  type WatchRequest,
  type WatchStream,
} from '../src/index.ts'
import { Model } from './model.ts'
import { apply, bytes, del, op, put, text, txn } from './requests.ts'
import { Turns, watchRequest } from './watchers.ts'

// The watched member lags behind the one that everything happens to first, so that snapshots are
// installed ahead of it; it may also start again from an old one.

const key = fc.constantFrom('a', 'aa', 'b', 'c')
const end = fc.constantFrom('', '', '\0', 'b', 'd', 'a')
const value = fc.constantFrom('1', '2', '3')
const rarely = fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true))
const few = fc.integer({ min: 1, max: 4 })

/** What becomes of each key: no transaction that etcd lets through changes one twice. */
const operations = fc
  .uniqueArray(fc.tuple(key, fc.option(value)), { maxLength: 3, selector: ([name]) => name })
  .map((changes) => changes.map(([name, to]) => (to === null ? op.del(name) : op.put(name, to))))
const command = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(key, value)
      .map((args) => ({ type: 'put' as const, request: put(...args) })),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(key, end)
      .map((args) => ({ type: 'delete-range' as const, request: del(...args) })),
  },
  {
    weight: 3,
    arbitrary: operations.map((success) => ({ type: 'txn' as const, request: txn({ success }) })),
  },
)
const request = fc
  .record({
    key,
    end,
    /** From the revision that the watched member has; null for what comes next. */
    offset: fc.option(fc.integer({ min: -12, max: 6 })),
    prevKv: fc.boolean(),
    noPut: rarely,
    noDelete: rarely,
  })
  .map(({ key: from, end: to, offset, ...rest }) => ({ from, to, offset, rest }))

const stream = fc.nat(2)
const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ type: fc.constant('happen'), command }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constant('apply'), count: few }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('watch'),
      stream,
      request,
      /** Its sink pauses the stream after so many batches; 0 for never. */
      pauseAfter: fc.nat(3),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('resume'), stream }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('pause'), stream }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constant('turn'), count: few }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('cancel'), which: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('compact'), back: fc.nat(8) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('install') }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('keep') }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('start-again') }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

interface Past {
  readonly revision: number
  readonly type: 'put' | 'delete'
  readonly kv: KeyValue
  readonly prevKv: KeyValue | null
}

/** All that ever happened, also what is compacted, found without the code under test. */
class Everything {
  readonly first = kvStateMachine()
  readonly #model = new Model()
  readonly past: Past[] = []

  happen(next: KvCommand): void {
    const before = new Map(this.#model.versions.map((version) => [version.name, version]))
    apply(this.first, next)
    this.#model.apply(next)
    const { revision } = this.#model
    const changes = this.#model.versions.filter((version) => version.modRevision === revision)
    if (this.past.at(-1)?.revision === revision) return
    for (const { name, deleted, sub: _, ...kv } of changes) {
      const last = before.get(name)
      const prevKv = last === undefined || last.deleted ? null : pair(last)
      const shown = deleted ? pair({ ...kv, ...NOTHING, key: kv.key }) : pair(kv)
      this.past.push({
        revision,
        type: deleted ? 'delete' : 'put',
        kv: { ...shown, modRevision: revision },
        prevKv,
      })
    }
  }
}

const NOTHING = { value: bytes(''), createRevision: 0, version: 0, lease: 0n }

function pair({ key: name, value: data, createRevision, modRevision, version, lease }: KeyValue) {
  return { key: name, value: data, createRevision, modRevision, version, lease }
}

interface Watched {
  readonly request: WatchRequest
  /** The first revision it may be told of. */
  readonly start: number
  readonly batches: (WatchBatch & { readonly compactRevision: number })[]
  readonly bookmarks: { readonly revision: number; readonly told: number }[]
  watcher: Watcher | null
  compacted: number | null
  cancelled: boolean
}

class Run {
  readonly everything = new Everything()
  readonly turns = new Turns()
  readonly machine: KvStateMachine
  readonly streams: WatchStream[]
  readonly watched: Watched[] = []
  /** What happened and was not applied yet to the machine that is watched. */
  #backlog: Uint8Array[] = []
  #kept: { chunks: Uint8Array[]; since: Uint8Array[] }

  constructor(options: Parameters<typeof kvStateMachine>[0]) {
    this.machine = kvStateMachine(options)
    const { schedule } = this.turns
    this.streams = [0, 1, 2].map(() => this.machine.watchStream({ schedule }))
    this.#kept = { chunks: [], since: [] }
  }

  async take(next: Step): Promise<void> {
    switch (next.type) {
      case 'happen':
        return this.#happen(next.command)
      case 'compact': {
        const revision = this.everything.first.revision - next.back
        return this.#happen({ type: 'compact', request: { revision } })
      }
      case 'apply':
        return this.apply(next.count)
      case 'watch':
        return this.#watch(next)
      case 'pause':
        return this.streams[next.stream]!.pause()
      case 'resume':
        return this.streams[next.stream]!.resume()
      case 'turn':
        for (let at = 0; at < next.count; at++) this.turns.take()
        return
      case 'cancel': {
        const one = this.watched[next.which % this.watched.length]
        if (one === undefined) return
        one.watcher?.cancel()
        one.cancelled = true
        return
      }
      case 'install':
        await this.machine.restore(this.everything.first.snapshot())
        this.#kept.since.push(...this.#backlog)
        this.#backlog = []
        return
      case 'keep':
        this.#kept = { chunks: [], since: [] }
        for await (const chunk of this.machine.snapshot()) this.#kept.chunks.push(chunk)
        return
      case 'start-again':
        if (this.#kept.chunks.length === 0) return
        await this.machine.restore(from(this.#kept.chunks))
        this.#backlog = [...this.#kept.since, ...this.#backlog]
        this.#kept.since.length = 0
    }
  }

  apply(count: number): void {
    const commands = this.#backlog.splice(0, count)
    this.#kept.since.push(...commands)
    this.machine.apply(commands.map((data) => ({ index: 1, term: 1, data })))
  }

  noteBookmarks(): void {
    for (const one of this.watched) {
      const revision = one.watcher?.bookmark ?? null
      if (revision !== null) one.bookmarks.push({ revision, told: told(one).length })
    }
    for (const each of this.streams) {
      if (each.bookmark !== null) expect(each.bookmark).toBe(this.machine.revision)
    }
  }

  async finish(): Promise<void> {
    for (const each of this.streams) each.resume()
    this.apply(Infinity)
    do {
      for (const each of this.streams) each.resume()
    } while (this.turns.take())
  }

  #happen(next: KvCommand): void {
    this.everything.happen(next)
    this.#backlog.push(encodeCommand(next))
  }

  #watch({ stream: at, request: asked, pauseAfter }: Extract<Step, { type: 'watch' }>): void {
    const { from: first, to, offset, rest } = asked
    const { revision } = this.machine
    const startRevision = offset === null ? 0 : Math.max(revision + offset, 1)
    const target = this.streams[at]!
    const one: Watched = {
      request: watchRequest(first, to, { ...rest, startRevision }),
      start: startRevision === 0 ? revision + 1 : startRevision,
      batches: [],
      bookmarks: [],
      watcher: null,
      compacted: null,
      cancelled: false,
    }
    this.watched.push(one)
    one.watcher = target.watch(one.request, {
      events: (batch) => {
        expect(one.compacted).toBeNull()
        expect(one.cancelled).toBe(false)
        one.batches.push({ ...batch, compactRevision: this.machine.compactRevision })
        if (one.batches.length === pauseAfter) target.pause()
      },
      compacted: (compactRevision) => {
        expect(compactRevision).toBe(this.machine.compactRevision)
        one.compacted = compactRevision
      },
    })
  }
}

async function* from(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

function told(one: Watched) {
  return one.batches.flatMap(({ events, compactRevision }) =>
    events.map((event) => ({ ...event, compactRevision })),
  )
}

function isAsked(one: Watched, past: Past): boolean {
  const { noPut, noDelete } = one.request
  if (past.revision < one.start || !isIn(past.kv.key, one.request)) return false
  return past.type === 'put' ? !noPut : !noDelete
}

function isIn(of: Uint8Array, { key: first, rangeEnd }: KeyInterval): boolean {
  if (rangeEnd.length === 0) return text(of) === text(first)
  return text(of) >= text(first) && (text(rangeEnd) === '\0' || text(of) < text(rangeEnd))
}

/** etcd's guarantees, one by one, of one watcher. */
function check(one: Watched, run: Run): void {
  const asked = run.everything.past.filter((past) => isAsked(one, past))
  const got = told(one)
  // Ordered, Unique, Reliable, Filter: the first of those asked for, each once.
  const upTo = asked.slice(0, got.length)
  expect(got.map(({ type, kv }) => ({ type, kv }))).toEqual(
    upTo.map(({ type, kv }) => ({ type, kv })),
  )
  // Atomic, and every batch says up to where one may rely on it (Resumable).
  let last = one.start - 1
  for (const { revision, events } of one.batches) {
    expect(events.length).toBeGreaterThan(0)
    expect(events[0]!.kv.modRevision).toBeGreaterThan(last)
    expect(revision).toBeGreaterThanOrEqual(events.at(-1)!.kv.modRevision)
    last = revision
  }
  for (const [at, { prevKv, kv, compactRevision }] of got.entries()) {
    const isGone = kv.modRevision - 1 < compactRevision
    const expected = one.request.prevKv && !isGone ? upTo[at]!.prevKv : null
    expect(prevKv).toEqual(expected)
  }
  // Bookmarkable.
  for (const { revision, told: count } of one.bookmarks) {
    expect(asked.filter((past) => past.revision <= revision).length).toBe(count)
    expect(revision).toBeGreaterThanOrEqual(one.request.startRevision)
  }
  if (one.compacted !== null) expect(last + 1).toBeLessThan(one.compacted)
  else if (!one.cancelled) expect(got.length).toBe(asked.length)
}

const options = fc.constantFrom(
  {},
  { sweepAtOnce: 0, sweepPerCommand: 1, replayPerTurn: 1 },
  { replayPerTurn: 3, replayBatchBytes: 4 },
)

test(
  'every guarantee holds for every watcher, whatever is applied, paused, compacted and restored',
  { timeout: 60_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 120, size: 'max' }),
        options,
        async (steps, chosen) => {
          const run = new Run(chosen)
          for (const next of steps) {
            await run.take(next)
            run.noteBookmarks()
          }
          await run.finish()
          run.noteBookmarks()
          for (const one of run.watched) check(one, run)
        },
      ),
      { numRuns: 400 },
    )
  },
)
