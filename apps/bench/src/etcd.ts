import { memberClient } from '@coracle/kv-server/client'
import { type Generator, type Load, loadGenerator, type Measured } from './load.ts'
import type { Row } from './report.ts'
import { isEtcdInstalled, type Servers, startEtcd, startOurs } from './servers.ts'

const SECONDS = 5
const KEY = new TextEncoder().encode('benchkey')
const VALUE = new Uint8Array(256).fill(0x76)

/** What is asked: each by one client, and by a thousand on a hundred connections. */
const REQUESTS: readonly (Pick<Load, 'path' | 'body'> & { readonly what: string })[] = [
  { what: 'put', path: '/etcdserverpb.KV/Put', body: putRequest() },
  { what: 'linearizable get', path: '/etcdserverpb.KV/Range', body: rangeRequest() },
]
const CLIENTS = [
  { connections: 1, streams: 1 },
  { connections: 100, streams: 10 },
]

/**
 * etcd's API on three processes with fsync: ours, and beside it etcd where it is installed, in one
 * run and under the same load. Requests go to the leader.
 */
export async function benchEtcd(progress: (what: string) => void): Promise<readonly Row[]> {
  const generator = await loadGenerator()
  const ours = await measureAll('coracle', startOurs, generator, progress)
  const etcd = (await isEtcdInstalled())
    ? await measureAll('etcd', startEtcd, generator, progress)
    : null
  return [...ours].map(([what, measured]) => ({
    what: `${what} (load by ${generator.name})`,
    value: measured.perSecond,
    unit: '/s',
    note: compare(measured, etcd?.get(what)),
  }))
}

async function measureAll(
  name: string,
  start: () => Promise<Servers>,
  generator: Generator,
  progress: (what: string) => void,
): Promise<ReadonlyMap<string, Measured>> {
  progress(`${name}: starting three members`)
  await using servers = await start()
  const results = new Map<string, Measured>()
  for (const { what, path, body } of REQUESTS)
    for (const clients of CLIENTS) {
      const count = clients.connections * clients.streams
      const title = `${what}, ${count === 1 ? '1 client' : `${count.toLocaleString('en')} clients`}`
      progress(`${name}: ${title}`)
      const load = { address: servers.leader, path, body, seconds: SECONDS, ...clients }
      results.set(title, await checked(load, generator, what === 'put'))
    }
  return results
}

/** A load of puts counts only if the revision grew with it: HTTP calls a failed request a success. */
async function checked(load: Load, generator: Generator, isPut: boolean): Promise<Measured> {
  using client = memberClient(load.address)
  const before = (await client.status()).revision
  const measured = await generator.run(load)
  const grown = (await client.status()).revision - before
  if (isPut && grown < measured.perSecond * load.seconds * 0.95)
    throw new Error(`of ${measured.perSecond * load.seconds} puts only ${grown} took place`)
  return measured
}

function compare(ours: Measured, etcd: Measured | undefined): string {
  const mean = `${ours.meanMs.toFixed(2)} ms`
  if (etcd === undefined) return mean
  const ratio = (ours.perSecond / etcd.perSecond).toFixed(2)
  const rate = Math.round(etcd.perSecond).toLocaleString('en')
  return `${mean}; etcd ${rate}/s, ${etcd.meanMs.toFixed(2)} ms; ratio ${ratio}`
}

/** `PutRequest { key = 1; value = 2 }`, as protobuf writes it. */
function putRequest(): Uint8Array {
  return Uint8Array.from([0x0a, KEY.length, ...KEY, 0x12, 0x80, 0x02, ...VALUE])
}

/** `RangeRequest { key = 1 }`. */
function rangeRequest(): Uint8Array {
  return Uint8Array.from([0x0a, KEY.length, ...KEY])
}
