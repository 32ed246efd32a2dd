/** Bytes that nobody should send, over gRPC and HTTP, to a server that really runs. */
import { Agent, request } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EtcdServer, startServer } from '../src/index.ts'
import { gatewayPaths } from '../src/gateway/paths.ts'
import { allMethods, codecOf } from '../src/schema.ts'
import { rawClient, type RawClient, wireId } from './harness.ts'
import { random, type Random } from './random.ts'
import { randomRequests } from './random-requests.ts'

const INPUTS = Number(process.env['CORACLE_HOSTILE_INPUTS'] ?? 20_000)
const AT_ONCE = 32
/** History is forgotten after so many: what was stored is no leak. */
const BATCH = 5_000
/** Tests run without the flag that offers it. */
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const MEBIBYTE = 2 ** 20

/** What takes a password's time, waits for others, or changes who the members are. */
const LEFT_OUT = /Authenticate|UserAdd|UserChangePassword|AuthEnable|Lock|Campaign|MemberAdd/

const METHODS = allMethods().filter(({ method }) => !LEFT_OUT.test(method))
const UNARY = METHODS.filter((each) => !each.requestStream && !each.responseStream)
const STREAMS = METHODS.filter((each) => each.requestStream)
const PATHS = [...gatewayPaths().keys()].filter((path) =>
  UNARY.some(({ service, method }) => gatewayPaths().get(path)?.endsWith(`${service}/${method}`)),
)

let server: EtcdServer
let address: string
let client: RawClient
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
beforeAll(async () => {
  server = await startServer({ listen: ['127.0.0.1:0'] })
  address = server.addresses[0] ?? ''
  client = rawClient(address)
})
afterAll(async () => {
  agent.destroy()
  client[Symbol.dispose]()
  await server[Symbol.asyncDispose]()
})

test(
  'whatever bytes come, the server answers, stays well and forgets them',
  { timeout: 7_200_000 },
  async () => {
    const dice = random(Number(process.env['CORACLE_SEED'] ?? 1))
    const answers = { taken: 0, refused: 0 }
    const sizes: number[] = []
    for (let done = 0; done < INPUTS; done += BATCH) {
      await sendMany(dice, answers)
      sizes.push(await sizeAfterwards())
    }
    // Both happen: bytes that mean something, and bytes that do not.
    expect(answers.taken).toBeGreaterThan(INPUTS / 20)
    expect(answers.refused).toBeGreaterThan(INPUTS / 20)
    // The first batch has warmed everything up.
    expect(Math.max(...sizes)).toBeLessThan((sizes[0] ?? 0) + 64 * MEBIBYTE)
  },
)

async function sendMany(dice: Random, answers: { taken: number; refused: number }): Promise<void> {
  const requests = randomRequests(dice, true)
  let left = BATCH
  const sendOn = async (): Promise<void> => {
    while (left-- > 0) {
      const isTaken = await sendOne(dice, requests.next(100))
      if (isTaken) answers.taken += 1
      else answers.refused += 1
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, sendOn))
}

async function sendOne(
  dice: Random,
  { method, request: message }: { readonly method: string; readonly request: object },
): Promise<boolean> {
  const kind = dice(20)
  if (kind < 8) return post(oneOf(dice, PATHS), corruptedText(asJson(message), dice))
  const known = METHODS.find(({ service, method: name }) => `${service}/${name}`.endsWith(method))
  if (known === undefined) throw new Error(`no method ${method}`)
  const bytes = corrupted(codecOf(known.requestType).encode(message), dice)
  if (kind === 8) return stream(dice, bytes)
  const to = kind < 12 || known.requestStream ? oneOf(dice, UNARY) : known
  try {
    await client.bytes(`/${to.service}/${to.method}`, bytes, { deadline: Date.now() + 10_000 })
    return true
  } catch (error) {
    // Not that it failed, that it hung, or that it does not know what became of it.
    expect([3, 5, 6, 7, 8, 9, 11, 12, 13, 16, 2, 14]).toContain((error as { code: number }).code)
    return false
  }
}

/** Bytes on a stream, and the client is gone soon, whatever comes of them. */
async function stream(dice: Random, bytes: Uint8Array): Promise<boolean> {
  const { service, method } = oneOf(dice, STREAMS)
  using call = client.duplex(`${service}/${method}`)
  call.sendBytes(bytes)
  call.halfClose()
  // grpc-js keeps for ever what it calls off before the server has begun to answer.
  await Promise.race([call.next().catch(() => null), setTimeout(20)])
  return true
}

function post(path: string, body: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const asking = request(`http://${address}${path}`, { method: 'POST', agent })
    asking.once('error', (error: NodeJS.ErrnoException) => {
      // A connection that nobody used for a while ends, maybe just when it is used again.
      if (asking.reusedSocket && error.code === 'ECONNRESET') resolve(post(path, body))
      else reject(error)
    })
    asking.once('response', (answer) => {
      answer.resume()
      answer.once('end', () => {
        const { statusCode = 0 } = answer
        if (statusCode === 504) reject(new Error(`${path} ${body} was not answered`))
        else resolve(statusCode === 200)
      })
    })
    asking.end(body)
  })
}

/** Bytes that are in use when nobody asks for anything, history and leases left out. */
async function sizeAfterwards(): Promise<number> {
  expect(await client.call('Health/Check')).toEqual({ status: 1 })
  const { header } = await client.call('KV/Range', { key: Uint8Array.of(1) })
  const { revision } = header as { revision: number }
  // The bytes may have asked for the same.
  await client.call('KV/Compact', { revision }).catch(() => {})
  await client.call('Maintenance/Defragment')
  const { leases = [] } = await client.call('Lease/LeaseLeases')
  for (const { ID } of leases as { ID: number | bigint }[])
    await client.call('Lease/LeaseRevoke', { ID: wireId(BigInt(ID)) }).catch(() => {})
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function oneOf<Item>(dice: Random, items: readonly Item[]): Item {
  return items[dice(items.length)] as Item
}

function asJson(message: object): string {
  return JSON.stringify(message, (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value.subarray(0, 60)).toString('base64') : value,
  )
}

const TOKENS = ['{', '}', '[', ']', '"', ',', ':', 'null', '-', '1e99', '\\u0000', '9'.repeat(30)]

function corruptedText(text: string, dice: Random): string {
  let result = text
  for (let edits = dice(3); edits > 0; edits--) {
    const at = dice(result.length + 1)
    result = result.slice(0, at) + oneOf(dice, TOKENS) + result.slice(at + dice(6))
  }
  return result
}

function corrupted(bytes: Uint8Array, dice: Random): Uint8Array {
  const copy = [...bytes.subarray(0, 400)]
  for (let edits = dice(4); edits > 0; edits--) {
    const at = dice(copy.length + 1)
    if (dice(3) === 0) copy.splice(at, 1 + dice(4))
    else if (dice(2) === 0) copy.splice(at, 0, dice(256))
    else if (copy.length > 0) copy[Math.min(at, copy.length - 1)] = dice(256)
  }
  return Uint8Array.from(copy)
}
