import { afterAll, beforeAll, expect, test } from 'vitest'
import { enable, FAST, tokenOf } from './guarded.ts'
import { type Harness, MEMBER_ID, startHarness, text, wireId } from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness({ auth: FAST })
})
afterAll(() => harness[Symbol.asyncDispose]())

const key = text('k')

/** Calls that change something, or nothing, but no key. */
const CALLS: readonly (readonly [method: string, request: object])[] = [
  ['KV/Range', { key }],
  ['KV/Range', { key, serializable: true, count_only: true }],
  ['KV/DeleteRange', { key: text('absent') }],
  ['KV/Txn', {}],
  ['KV/Txn', { success: [{ request_range: { key } }] }],
  ['KV/Txn', { success: [{ request_delete_range: { key: text('absent') } }] }],
  ['KV/Txn', { compare: [{ key, version: 99 }], success: [{ request_put: { key } }] }],
  ['KV/Compact', { revision: 1 }],
  ['Lease/LeaseGrant', { ID: 7, TTL: 60 }],
  ['Lease/LeaseTimeToLive', { ID: 7, keys: true }],
  ['Lease/LeaseLeases', {}],
  ['Lease/LeaseRevoke', { ID: 7 }],
  ['Cluster/MemberList', { linearizable: true }],
  ['Maintenance/Alarm', { action: 1, memberID: wireId(MEMBER_ID), alarm: 1 }],
  ['Maintenance/Alarm', { action: 2, memberID: wireId(MEMBER_ID), alarm: 1 }],
  ['Maintenance/Status', {}],
  ['Maintenance/Hash', {}],
  ['Maintenance/HashKV', {}],
  ['Maintenance/Defragment', {}],
  ['Auth/AuthStatus', {}],
  ['Auth/UserAdd', { name: 'ben', password: 'ben' }],
  ['Auth/UserChangePassword', { name: 'ben', password: 'x' }],
  ['Auth/RoleAdd', { name: 'r' }],
  ['Auth/RoleGrantPermission', { name: 'r', perm: { permType: 2, key } }],
  ['Auth/UserGrantRole', { user: 'ben', role: 'r' }],
  ['Auth/UserRevokeRole', { name: 'ben', role: 'r' }],
  ['Auth/RoleRevokePermission', { role: 'r', key }],
  ['Auth/RoleDelete', { role: 'r' }],
  ['Auth/UserDelete', { name: 'ben' }],
]

test('nothing but changes of keys takes a revision', async () => {
  const { client, stateMachine } = harness
  await client.call('KV/Put', { key })
  for (const [method, request] of CALLS) {
    await client.call(method, request)
    expect([method, stateMachine.revision]).toEqual([method, 2])
  }
  using keepAlive = client.duplex('Lease/LeaseKeepAlive')
  keepAlive.send({ ID: 99 })
  await keepAlive.next()
  using watch = client.duplex('Watch/Watch')
  watch.send({ create_request: { key } })
  await watch.next()
  await enable(client)
  const metadata = { token: await tokenOf(client, 'root') }
  await client.call('Auth/AuthDisable', {}, { metadata })
  expect(stateMachine.revision).toBe(2)
  expect(await client.call('KV/Put', { key })).toMatchObject({ header: { revision: 3 } })
})
