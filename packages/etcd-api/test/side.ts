/** One of two servers that are asked the same, and what of its answers is to be the same. */
import { setTimeout } from 'node:timers/promises'
import { allMethods, codecOf } from '../src/schema.ts'
import { type RawClient, type RawDuplex, text, wireId } from './harness.ts'
import { refusalIn } from './guarded.ts'
import { KEEP_ALIVE, LEASES, type Step, WATCH } from './random-requests.ts'

/** Ids of watchers that are there to find out how far the others are. */
const PROBES = 1_000_000
const PROBE_KEY = '~probe'

export interface Side extends Disposable {
  /** The answer or refusal, without what differs from cluster to cluster. */
  take(step: Step): Promise<unknown>
  /** The store’s revision, as of the last answer that said so. */
  readonly revision: number
  /** All that the watch stream said since the sequence began. */
  readonly watched: Watched
  /** All watchers have been told of what is past. */
  settle(): Promise<void>
  /** Forgets keys and leases, and opens another watch stream. */
  begin(): Promise<void>
}

export interface Watched {
  /** Answers to creates and cancels, in order. */
  readonly answers: readonly object[]
  /** By watcher: its events and its end, in order. */
  readonly told: Readonly<Record<string, readonly object[]>>
}

export function sideOf(client: RawClient): Side {
  return new TheSide(client)
}

class TheSide implements Side {
  revision = 1
  readonly #client: RawClient
  readonly #compacted = new Set<number>()
  #stream: WatchStream | null = null

  constructor(client: RawClient) {
    this.#client = client
  }

  /**
   * Without what was deleted exactly at a revision that was compacted: etcd 3.4.36 and later tell it
   * to who watches from there, earlier ones had forgotten it.
   */
  get watched(): Watched {
    const { answers, told } = this.#stream?.watched ?? { answers: [], told: {} }
    const isForgotten = (event: object): boolean => {
      const { type, kv } = event as { type?: number; kv?: { mod_revision: number } }
      return type === 1 && kv !== undefined && this.#compacted.has(kv.mod_revision)
    }
    const stories = Object.entries(told).map(
      ([id, events]) => [id, events.filter((event) => !isForgotten(event))] as const,
    )
    return { answers, told: Object.fromEntries(stories.filter(([, events]) => events.length > 0)) }
  }

  async take(step: Step): Promise<unknown> {
    if (step.method === WATCH) return this.#watch(step.request)
    try {
      const answer =
        step.method === KEEP_ALIVE ? await this.#keepAlive(step.request) : await this.#call(step)
      if (step.method === 'KV/Compact')
        this.#compacted.add((step.request as { revision: number }).revision)
      return comparable(step.method, answer)
    } catch (error) {
      return refusalIn(error)
    }
  }

  async begin(): Promise<void> {
    this.#stream?.[Symbol.dispose]()
    this.#stream = null
    const all = { key: Uint8Array.of(0), range_end: Uint8Array.of(0) }
    await this.#call({ method: 'KV/DeleteRange', request: all })
    const revoke = (ID: object): Step => ({ method: 'Lease/LeaseRevoke', request: { ID } })
    await Promise.all(LEASES.map((id) => this.take(revoke(wireId(id)))))
  }

  /**
   * etcd lets watchers of the past read it in turns, in which all of them take part. When a watcher
   * that came last has had two such turns, the others have had at least one whole one.
   */
  async settle(): Promise<void> {
    if (this.#stream === null) return
    for (let turn = 0; turn < 2; turn++) {
      await this.#call({ method: 'KV/Put', request: { key: text(PROBE_KEY) } })
      await this.#stream.probe(this.revision)
    }
  }

  [Symbol.dispose](): void {
    this.#stream?.[Symbol.dispose]()
  }

  async #watch(request: object): Promise<void> {
    this.#stream ??= new WatchStream(this.#client.duplex(WATCH))
    await this.#stream.ask(request)
  }

  async #call({ method, request }: Step): Promise<unknown> {
    const { path, requestType, responseType } = schemaOf(method)
    const bytes = codecOf(requestType).encode(request)
    const answer = await this.#client.bytes(path, bytes, { deadline: Date.now() + 10_000 })
    const decoded = exact(codecOf(responseType).decode(answer)) as { header?: Header }
    if (decoded.header?.revision !== undefined) this.revision = Number(decoded.header.revision)
    return decoded
  }

  async #keepAlive(request: object): Promise<unknown> {
    using call = this.#client.duplex(KEEP_ALIVE)
    call.send(request)
    return exact(await call.next())
  }
}

interface Header {
  readonly revision?: string
}

interface WatchMessage {
  readonly header: { readonly revision?: number }
  readonly watch_id?: number
  readonly created?: boolean
  readonly canceled?: boolean
  readonly fragment?: boolean
  readonly events?: readonly { readonly kv: { readonly mod_revision: number } }[]
}

class WatchStream implements Disposable {
  readonly watched: { answers: object[]; told: Record<string, object[]> } = {
    answers: [],
    told: {},
  }
  readonly #call: RawDuplex
  readonly #live = new Set<number>()
  /** Ids whose cancelling is answered: also those of watchers that fell behind a compaction. */
  readonly #taken = new Set<number>()
  readonly #last = new Map<number, number>()
  #answers = 0
  #probes = 0
  #probesTold = 0
  #failure: Error | null = null

  constructor(call: RawDuplex) {
    this.#call = call
    this.#read().catch((error: unknown) => {
      this.#failure = error as Error
    })
  }

  /** Resolves when it is answered, if it will be. */
  async ask(request: object): Promise<void> {
    const { cancel_request } = request as { cancel_request?: { watch_id: number } }
    const isAnswered =
      'create_request' in request ||
      (cancel_request !== undefined && this.#taken.has(cancel_request.watch_id))
    const answers = this.#answers + (isAnswered ? 1 : 0)
    this.#call.send(request)
    await this.#until(() => this.#answers >= answers)
  }

  async probe(startRevision: number): Promise<void> {
    const watch_id = PROBES + this.#probes++
    const key = text(PROBE_KEY)
    this.#call.send({ create_request: { key, watch_id, start_revision: startRevision } })
    await this.#until(() => this.#probesTold >= this.#probes)
    this.#call.send({ cancel_request: { watch_id } })
  }

  [Symbol.dispose](): void {
    this.#call[Symbol.dispose]()
  }

  async #until(holds: () => boolean): Promise<void> {
    const giveUp = performance.now() + 10_000
    while (!holds()) {
      if (this.#failure !== null) throw this.#failure
      if (performance.now() > giveUp) throw new Error('a watch stream waited in vain')
      await setTimeout(2)
    }
  }

  async #read(): Promise<void> {
    for (;;) this.#take((await this.#call.next()) as unknown as WatchMessage)
  }

  #take(message: WatchMessage): void {
    const { header, watch_id: id = 0, events } = message
    if (id >= PROBES) this.#probesTold += events === undefined ? 0 : 1
    else if (events !== undefined) this.#tell(id, message)
    else if (message.created || message.canceled) {
      const answer = { ...message, header: header.revision }
      // Watchers fall behind compactions whenever they are looked at: that is part of their own story.
      if ('compact_revision' in message) (this.watched.told[id] ??= []).push(answer)
      else this.#answer(id, message, answer)
      if (message.canceled) this.#live.delete(id)
    }
  }

  #answer(id: number, message: WatchMessage, answer: object): void {
    if (!message.created) this.#taken.delete(id)
    else if (!message.canceled) {
      this.#live.add(id)
      this.#taken.add(id)
    }
    this.watched.answers.push(answer)
    this.#answers += 1
  }

  /** How revisions are put together into messages is the server’s; that none is torn apart is not. */
  #tell(id: number, { header, fragment, events = [] }: WatchMessage): void {
    const story = (this.watched.told[id] ??= [])
    const revisions = events.map(({ kv }) => kv.mod_revision)
    const [first = 0, last = 0] = [revisions[0], revisions.at(-1)]
    if (!this.#live.has(id)) story.push({ error: 'an event for nobody' })
    if (first <= (this.#last.get(id) ?? 0)) story.push({ error: 'a revision in two messages' })
    if ((header.revision ?? 0) < last) story.push({ error: 'an event from the future' })
    if (!fragment) this.#last.set(id, last)
    story.push(...events)
  }
}

function comparable(method: string, answer: unknown): unknown {
  const { header, ...rest } = answer as { header?: Header; keys?: string[]; TTL?: string }
  const same = { ...rest, header: header?.revision }
  if (method !== 'Lease/LeaseTimeToLive') return same
  // A second may end between two servers, and etcd keeps the keys of a lease in no order.
  const { TTL, keys } = rest
  return { ...same, TTL: Math.ceil(Number(TTL ?? 0) / 10), keys: keys?.toSorted() }
}

/** Bytes as Latin-1, 64 bits in decimal: nothing is lost. */
export function exact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(exact)
  if (value instanceof Uint8Array) return `${value.length}:${Buffer.from(value).toString('latin1')}`
  if (value === null || typeof value !== 'object') return String(value)
  if ('low' in value && 'high' in value) {
    const { low, high, unsigned } = value as { low: number; high: number; unsigned: boolean }
    const bits = (BigInt(high) << 32n) | BigInt(low >>> 0)
    return String(unsigned ? BigInt.asUintN(64, bits) : BigInt.asIntN(64, bits))
  }
  const fields = Object.entries(value).filter(([, field]) => field !== null)
  return Object.fromEntries(
    fields
      .filter(([, field]) => !(Array.isArray(field) && field.length === 0))
      .map(([name, field]) => [name, exact(field)]),
  )
}

const schemas = new Map(
  allMethods().map((schema) => {
    const { service, method } = schema
    return [
      `${service.slice(service.indexOf('.') + 1)}/${method}`,
      { ...schema, path: `/${service}/${method}` },
    ]
  }),
)

function schemaOf(name: string) {
  const schema = schemas.get(name)
  if (schema === undefined) throw new Error(`no method ${name}`)
  return schema
}
