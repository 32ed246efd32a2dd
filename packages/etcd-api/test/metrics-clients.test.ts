/** Calls are counted by what their clients say of themselves. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Harness, startHarness, text } from './harness.ts'
import { post } from './http-client.ts'
import { samplesAt, valuesAt } from './scrape.ts'

let harness: Harness
beforeEach(async () => {
  harness = await startHarness()
})
afterEach(() => harness[Symbol.asyncDispose]())

const valuesOf = (...names: string[]): Promise<(number | undefined)[]> =>
  valuesAt(harness.address, ...names)

async function valueOf(name: string): Promise<number | undefined> {
  return (await valuesOf(name))[0]
}

describe('clients', () => {
  const requests = (type: string, version: string): string =>
    `etcd_server_client_requests_total{client_api_version="${version}",type="${type}"}`

  test('are counted by the version that they tell', async () => {
    const metadata = { 'client-api-version': '3.5' }
    for (const key of ['a', 'b'])
      await harness.client.call('KV/Put', { key: text(key) }, { metadata })
    await harness.client.call('KV/Put', { key: text('c') })
    using _ = harness.client.duplex('Watch/Watch', metadata)
    await expect.poll(() => valueOf(requests('stream', '3.5'))).toBe(1)
    expect(await valuesOf(requests('unary', '3.5'), requests('unary', 'unknown'))).toEqual([2, 1])
    expect(await valueOf(requests('stream', 'unknown'))).toBeUndefined()
  })

  test('cannot have as many versions as they like', async () => {
    const versions = Array.from({ length: 110 }, (_, at) => `1.${at}`)
    for (const version of [...versions, 'x'.repeat(33)])
      await harness.client.call(
        'KV/Range',
        { key: text('a') },
        { metadata: { 'client-api-version': version } },
      )
    const names = [...(await samplesAt(harness.address)).keys()]
    const known = names.filter((name) => name.startsWith('etcd_server_client_requests_total{'))
    expect(known).toHaveLength(101)
    expect(await valueOf(requests('unary', 'unknown'))).toBe(11)
  })

  test('that lock call one method and no other', async () => {
    const started = (service: string, method: string): string =>
      `grpc_server_started_total{grpc_method="${method}",grpc_service="${service}",grpc_type="unary"}`
    await post(harness.address, '/v3/lock/lock', { name: 'YQ==' })
    expect(
      await valuesOf(
        started('v3lockpb.Lock', 'Lock'),
        started('etcdserverpb.KV', 'Txn'),
        started('etcdserverpb.Lease', 'LeaseGrant'),
        requests('unary', 'unknown'),
      ),
    ).toEqual([1, 0, 0, 1])
  })
})
