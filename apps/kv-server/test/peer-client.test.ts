/** What one member asks another that has several URLs. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePorts } from '../src/processes/index.ts'
import { forwardCall } from '../src/peers/peer-client.ts'

let asked = 0
const leader = createServer((_request, response) => {
  asked += 1
  response.end('done')
})
const silent = createServer((_request, response) => {
  asked += 1
  response.destroy()
})
const urlOf = (server: typeof leader): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}`

beforeAll(async () => {
  for (const server of [leader, silent]) await once(server.listen(0, '127.0.0.1'), 'listening')
})
afterAll(() => {
  for (const server of [leader, silent]) server.close()
})

function forwardTo(...urls: string[]): ReturnType<typeof forwardCall> {
  const call = { leader: { id: 'a', address: urls.join(',') }, path: '/x/Y' }
  const options = { clusterId: '1', timeoutMs: 2_000, tls: null }
  return forwardCall({ ...call, request: new Uint8Array(1) }, options)
}

test('is asked at another where nobody is, or where packets are lost', async () => {
  const [port] = await freePorts(1)
  // A network for documentation (RFC 5737): there is no way to it, or one on which all is lost.
  for (const dead of [
    `http://127.0.0.1:${port}`,
    'http://192.0.2.1:2380',
    'unix:///no/such.sock',
  ]) {
    const answer = await forwardTo(dead, urlOf(leader))
    expect(answer).toEqual({ response: new TextEncoder().encode('done') })
  }
  expect(await forwardTo(`http://127.0.0.1:${port}`)).toBeNull()
})

test('is not asked again where the first may have done it', async () => {
  asked = 0
  await expect(forwardTo(urlOf(silent), urlOf(leader))).rejects.toThrow()
  expect(asked).toBe(1)
})
