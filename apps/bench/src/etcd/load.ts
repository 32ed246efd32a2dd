import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'

/** One kind of request, made again and again by a number of clients that each wait for the answer. */
export interface Load {
  readonly address: string
  /** The method's path, such as `/etcdserverpb.KV/Put`. */
  readonly path: string
  /** The encoded request. */
  readonly body: Uint8Array
  readonly connections: number
  /** Clients on each connection. */
  readonly streams: number
  readonly seconds: number
}

export interface Measured {
  readonly perSecond: number
  readonly meanMs: number
}

export interface Generator {
  readonly name: string
  run(load: Load): Promise<Measured>
}

/** h2load, written in C, if it is installed; otherwise clients in this process, which cost much more. */
export async function loadGenerator(): Promise<Generator> {
  const isInstalled = await output('h2load', ['--version']).then(
    () => true,
    () => false,
  )
  return isInstalled
    ? { name: 'h2load', run: runH2load }
    : { name: 'clients on grpc-js', run: runClients }
}

async function runH2load(load: Load): Promise<Measured> {
  const { address, path, body, connections, streams, seconds } = load
  const directory = await mkdtemp(join(tmpdir(), 'coracle-bench-'))
  try {
    const file = join(directory, 'body')
    await writeFile(file, frame(body))
    const printed = await output('h2load', [
      `--clients=${connections}`,
      `--max-concurrent-streams=${streams}`,
      '--warm-up-time=1',
      `--duration=${seconds}`,
      `--data=${file}`,
      '--header=content-type: application/grpc',
      '--header=te: trailers',
      `http://${address}${path}`,
    ])
    const [, rate] = /finished in [^,]*, ([\d.]+) req\/s/.exec(printed) ?? []
    const [, mean, unit] = /time for request:(?:\s+\S+){2}\s+([\d.]+)(us|ms|s)/.exec(printed) ?? []
    if (rate === undefined || mean === undefined)
      throw new Error(`h2load printed something else:\n${printed}`)
    const scale = { us: 0.001, ms: 1, s: 1_000 }[unit as 'us' | 'ms' | 's']
    return { perSecond: Number(rate), meanMs: Number(mean) * scale }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** A message as gRPC puts it on the wire: not compressed, its length, itself. */
function frame(body: Uint8Array): Uint8Array {
  const framed = new Uint8Array(5 + body.length)
  new DataView(framed.buffer).setUint32(1, body.length)
  framed.set(body, 5)
  return framed
}

async function output(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`${program} ended with exit code ${code}`)
  return text
}

async function runClients(load: Load): Promise<Measured> {
  const { address, path, body, connections, streams, seconds } = load
  const clients = Array.from(
    { length: connections },
    () =>
      new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }),
  )
  const identity = (bytes: Buffer): Buffer => bytes
  const call = (client: Client): Promise<void> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, identity, identity, Buffer.from(body), (error) =>
        error === null ? resolve() : reject(error),
      )
    })
  const over = new AbortController()
  let answered = 0
  const work = async (client: Client): Promise<void> => {
    while (!over.signal.aborted) {
      await call(client)
      answered += 1
    }
  }
  const working = clients.flatMap((client) => Array.from({ length: streams }, () => work(client)))
  await delay(1_000)
  const before = answered
  const began = performance.now()
  await delay(seconds * 1_000)
  const perSecond = ((answered - before) * 1_000) / (performance.now() - began)
  over.abort()
  await Promise.all(working)
  for (const client of clients) client.close()
  return { perSecond, meanMs: (connections * streams * 1_000) / perSecond }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
