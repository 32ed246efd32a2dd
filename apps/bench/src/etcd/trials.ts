/** What is measured of a cluster that speaks etcd's API. */
import type { Client } from '@grpc/grpc-js'
import { memberClient } from '@coracle/kv-server/client'
import type { Generator, Load, Measured } from './load.ts'
import {
  fieldsOf,
  message,
  putAllRequest,
  putRequest,
  rangeRequest,
  txnRequest,
} from './requests.ts'
import type { Servers } from './servers.ts'
import { type ByteStream, call, connect, openStreams } from './streams.ts'
import { openWatchers } from './watchers.ts'

export interface Figure {
  readonly value: number
  readonly unit: string
  readonly note?: string
}

export interface Trial {
  readonly what: string
  run(servers: Servers, generator: Generator): Promise<Figure>
}

const SECONDS = 5
const PUT = '/etcdserverpb.KV/Put'
const RANGE = '/etcdserverpb.KV/Range'
const TXN = '/etcdserverpb.KV/Txn'

const CLIENTS = [
  { name: '1 client', connections: 1, streams: 1 },
  { name: '100 clients', connections: 10, streams: 10 },
  { name: '1,000 clients', connections: 100, streams: 10 },
]

/** In this order, on one cluster: the larger ones come last. */
export const TRIALS: readonly Trial[] = [
  ...CLIENTS.map((clients) => unary('put', clients, PUT, putRequest('benchkey'))),
  ...CLIENTS.map((clients) =>
    unary('linearizable get', clients, RANGE, rangeRequest('benchkey', false)),
  ),
  ...CLIENTS.slice(2).map((clients) =>
    unary('serializable get', clients, RANGE, rangeRequest('benchkey', true)),
  ),
  ...CLIENTS.slice(1).map((clients) =>
    unary('transaction of a comparison, a put and a get', clients, TXN, txnRequest('benchkey')),
  ),
  { what: 'events to 1,000 watchers of a key', run: fanOut },
  { what: 'put, 1,000 clients, beside 100,000 watchers', run: besideWatchers },
  { what: 'lease keep-alives, 1,000 clients', run: keepAlives },
  { what: 'memory of the leader with a million keys', run: memoryOfAMillion },
  { what: 'restart of all three with a million keys', run: restart },
]

/** Some seconds of puts and gets, of many clients and of one. */
export async function warmUp(servers: Servers, generator: Generator): Promise<void> {
  for (const clients of [CLIENTS[1], CLIENTS[0]] as (typeof CLIENTS)[number][])
    for (const [path, body] of [
      [PUT, putRequest('benchkey')],
      [RANGE, rangeRequest('benchkey', false)],
    ] as const)
      await unary('', clients, path, body).run(servers, generator)
}

function unary(
  what: string,
  clients: (typeof CLIENTS)[number],
  path: string,
  body: Uint8Array,
): Trial {
  return {
    what: `${what}, ${clients.name}`,

    async run(servers, generator) {
      const { connections, streams } = clients
      const load = { address: servers.leader, path, body, seconds: SECONDS, connections, streams }
      return rateOf(await checked(load, generator, path !== RANGE))
    },
  }
}

function rateOf({ perSecond, meanMs }: Measured): Figure {
  return { value: perSecond, unit: '/s', note: `${meanMs.toFixed(2)} ms` }
}

/** A load of writes counts only if the revision grew with it: HTTP calls a failed request a success. */
async function checked(load: Load, generator: Generator, isWrite: boolean): Promise<Measured> {
  using client = memberClient(load.address)
  const before = (await client.status()).revision
  const measured = await generator.run(load)
  const grown = (await client.status()).revision - before
  if (isWrite && grown < measured.perSecond * load.seconds * 0.95)
    throw new Error(`of ${measured.perSecond * load.seconds} writes only ${grown} took place`)
  return measured
}

/** Puts of one key, each of which a thousand watchers are told. The first ones warm the server up. */
async function fanOut(servers: Servers): Promise<Figure> {
  const watcherCount = 1_000
  const putCount = 1_000
  using watchers = await openWatchers(servers.leader, watcherCount, () => 'watched')
  const client = connect(servers.leader)
  const put = async (times: number): Promise<void> => {
    const before = watchers.events
    await parallel(4, times, () => call(client, PUT, putRequest('watched')))
    await watchers.arrived(before + watcherCount * times)
  }
  try {
    await put(putCount / 2)
    const cpuBefore = await servers.leaderCpuMs()
    const began = performance.now()
    await put(putCount)
    const seconds = (performance.now() - began) / 1_000
    const events = watcherCount * putCount
    const cpuMs = (await servers.leaderCpuMs()) - cpuBefore
    const note = `${((cpuMs * 1_000) / events).toFixed(2)} µs of the leader for each`
    return { value: events / seconds, unit: '/s', note }
  } finally {
    client.close()
  }
}

/** Watchers of other keys should cost a put nothing. */
async function besideWatchers(servers: Servers, generator: Generator): Promise<Figure> {
  const before = await servers.leaderMemory()
  using watchers = await openWatchers(servers.leader, 100_000, (number) => `watched/${number}`)
  const bytes = (await servers.leaderMemory()) - before
  const load = { address: servers.leader, path: PUT, body: putRequest('benchkey') }
  const clients = { seconds: SECONDS, connections: 100, streams: 10 }
  const measured = await checked({ ...load, ...clients }, generator, true)
  const client = connect(servers.leader)
  await call(client, PUT, putRequest('watched/99999'))
  await watchers.arrived(1)
  client.close()
  const note = `${measured.meanMs.toFixed(2)} ms, ${(bytes / 2 ** 20).toFixed(0)} MiB for the watchers`
  return { value: measured.perSecond, unit: '/s', note }
}

async function keepAlives({ leader }: Servers): Promise<Figure> {
  const client = connect(leader)
  const leases = await Promise.all(
    Array.from({ length: 1_000 }, async () => idOf(await grant(client))),
  )
  using opened = openStreams(leader, '/etcdserverpb.Lease/LeaseKeepAlive', {
    connections: 10,
    streams: 100,
  })
  let answered = 0
  for (const [at, lease] of leases.entries()) {
    const stream = opened.all[at] as ByteStream
    const request = Buffer.from(message([1, lease]))
    stream.on('data', () => {
      answered += 1
      stream.write(request)
    })
    stream.write(request)
  }
  await delay(1_000)
  const before = answered
  const began = performance.now()
  await delay(SECONDS * 1_000)
  const perSecond = ((answered - before) * 1_000) / (performance.now() - began)
  client.close()
  return { value: perSecond, unit: '/s' }
}

let nextLease = 1

function grant(client: Client): Promise<Uint8Array> {
  return call(client, '/etcdserverpb.Lease/LeaseGrant', message([1, 600], [2, nextLease++]))
}

function idOf(response: Uint8Array): number {
  for (const [field, value] of fieldsOf(response))
    if (field === 2 && typeof value === 'number') return value
  throw new Error('the lease was not granted')
}

const MILLION = 1_000_000
const KEYS_AT_ONCE = 100

async function memoryOfAMillion(servers: Servers): Promise<Figure> {
  const client = connect(servers.leader)
  const began = performance.now()
  let next = 0
  await parallel(16, MILLION / KEYS_AT_ONCE, () => {
    const keys = Array.from({ length: KEYS_AT_ONCE }, () => keyOf(next++))
    return call(client, TXN, putAllRequest(keys))
  })
  const seconds = (performance.now() - began) / 1_000
  client.close()
  const note = `put in ${seconds.toFixed(0)} s, 100 in a transaction`
  return { value: (await servers.leaderMemory()) / 2 ** 20, unit: 'MiB', note }
}

function keyOf(number: number): string {
  return `million/${String(number).padStart(7, '0')}`
}

/** Until each of them answers a linearizable get of the last key. */
async function restart(servers: Servers): Promise<Figure> {
  const addresses = await servers.restart()
  const began = performance.now()
  await Promise.all(addresses.map(untilServed))
  return { value: (performance.now() - began) / 1_000, unit: 's' }
}

async function untilServed(address: string): Promise<void> {
  const client = connect(address)
  const hasKey = async (): Promise<boolean> => {
    const answer = await call(client, RANGE, rangeRequest(keyOf(MILLION - 1), false))
    for (const [field] of fieldsOf(answer)) if (field === 2) return true
    throw new Error('a key is lost')
  }
  while (!(await hasKey().catch(refused))) await delay(50)
  client.close()
}

/** Nobody listens yet, or nobody leads; anything else is a failure of the trial. */
function refused(error: unknown): false {
  const { code } = error as { readonly code?: number }
  if (code === undefined) throw error
  return false
}

/** Does something `count` times, so many at a time. */
async function parallel(width: number, count: number, work: () => Promise<unknown>): Promise<void> {
  let left = count
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await work()
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
