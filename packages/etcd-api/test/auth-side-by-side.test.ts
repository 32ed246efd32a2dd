import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FAST, type Outcome, refusalIn } from './guarded.ts'
import { type Harness, type RawClient, startHarness, text } from './harness.ts'
import { isInstalled, type RealEtcd, startRealEtcd } from './real-etcd.ts'

/** Who asks what. Whoever is not `nobody` has a token, from the last step that was a login. */
type Step = readonly [who: string, method: string, request?: object]

const OPEN = Uint8Array.of(0)
const perm = (permType: number, key: string, range_end: Uint8Array | string = ''): object => ({
  permType,
  key: text(key),
  range_end: typeof range_end === 'string' ? text(range_end) : range_end,
})
const range = (key: string, range_end: Uint8Array | string = ''): object => ({
  key: text(key),
  range_end: typeof range_end === 'string' ? text(range_end) : range_end,
})
const login = (name: string, password: string = name): Step => [
  name,
  'Auth/Authenticate',
  { name, password },
]

/**
 * What etcd 3.4 already answered as it does today. What it did not: that the root role may do
 * everything (RoleGet), and who may compact, hash, ask for the status, and see leases.
 */
const STORY: Readonly<Record<string, readonly Step[]>> = {
  'before authentication is enabled': [
    ['nobody', 'Auth/AuthEnable'],
    login('root'),
    ['nobody', 'Auth/UserAdd', { name: '', password: 'x' }],
    ['nobody', 'Auth/UserAdd', { name: 'root', password: 'root' }],
    ['nobody', 'Auth/UserAdd', { name: 'root', password: 'again' }],
    ['nobody', 'Auth/AuthEnable'],
    ['nobody', 'Auth/UserGrantRole', { user: 'root', role: 'root' }],
    ['nobody', 'Auth/UserGrantRole', { user: 'root', role: 'none' }],
    ['nobody', 'Auth/UserGrantRole', { user: 'none', role: 'root' }],
    ['nobody', 'Auth/RoleGet', { role: 'root' }],
    ['nobody', 'Auth/RoleAdd', { name: 'root' }],
    ['nobody', 'Auth/RoleAdd', { name: 'root' }],
    ['nobody', 'Auth/RoleAdd', {}],
    ['nobody', 'Auth/UserGet', { name: 'root' }],
    ['nobody', 'Auth/UserGet', { name: 'none' }],
    ['nobody', 'Auth/UserDelete', { name: 'none' }],
    ['nobody', 'Auth/UserChangePassword', { name: 'none', password: 'x' }],
    ['nobody', 'Auth/UserRevokeRole', { name: 'none', role: 'root' }],
    ['nobody', 'Auth/UserRevokeRole', { name: 'root', role: 'none' }],
    ['nobody', 'Auth/RoleDelete', { role: 'none' }],
    ['nobody', 'Auth/RoleGet', { role: 'none' }],
  ],
  'permissions of a role': [
    ['nobody', 'Auth/RoleAdd', { name: 'r' }],
    ['nobody', 'Auth/RoleGrantPermission', { name: 'none', perm: perm(0, 'a') }],
    ['nobody', 'Auth/RoleGrantPermission', { name: 'r', perm: perm(0, 'm') }],
    ['nobody', 'Auth/RoleGrantPermission', { name: 'r', perm: perm(2, 'c', 'd') }],
    ['nobody', 'Auth/RoleGrantPermission', { name: 'r', perm: perm(1, 'x', OPEN) }],
    ['nobody', 'Auth/RoleGrantPermission', { name: 'r', perm: perm(1, 'm') }],
    ['nobody', 'Auth/RoleGet', { role: 'r' }],
    ['nobody', 'Auth/RoleGrantPermission', { name: 'r', perm: perm(1, 'm', 'n') }],
    ['nobody', 'Auth/RoleGrantPermission', { name: 'r', perm: perm(0, 'm', 'n') }],
    ['nobody', 'Auth/RoleGet', { role: 'r' }],
    ['nobody', 'Auth/RoleRevokePermission', { role: 'r', ...range('m', 'n') }],
    ['nobody', 'Auth/RoleRevokePermission', { role: 'r', ...range('m', 'n') }],
    ['nobody', 'Auth/RoleRevokePermission', { role: 'none', ...range('m') }],
    ['nobody', 'Auth/RoleRevokePermission', { role: 'r', ...range('m') }],
    ['nobody', 'Auth/RoleGet', { role: 'r' }],
    ['nobody', 'Auth/RoleGrantPermission', { name: 'r', perm: perm(2, 'k', 'l') }],
    ['nobody', 'Auth/RoleGrantPermission', { name: 'r', perm: perm(0, 'l', 'm') }],
    ['nobody', 'Auth/UserAdd', { name: 'ann', password: 'ann' }],
    ['nobody', 'Auth/UserGrantRole', { user: 'ann', role: 'r' }],
    ['nobody', 'Auth/UserGrantRole', { user: 'ann', role: 'r' }],
    ['nobody', 'Auth/UserAdd', { name: 'Bob', password: '' }],
    ['nobody', 'Auth/UserAdd', { name: 'cn', options: { no_password: true } }],
    ['nobody', 'Auth/UserList'],
    ['nobody', 'Auth/RoleList'],
    ['nobody', 'Auth/UserGet', { name: 'ann' }],
    ['nobody', 'KV/Put', { key: text('before') }],
    ['nobody', 'Auth/AuthDisable'],
    ['nobody', 'Auth/AuthEnable'],
  ],
  'who nobody is, and who somebody': [
    ['nobody', 'KV/Put', { key: text('k') }],
    ['nobody', 'KV/Range', range('k')],
    ['nobody', 'KV/Range', { ...range('k'), serializable: true }],
    ['nobody', 'KV/DeleteRange', range('k')],
    ['nobody', 'KV/Txn', { success: [{ request_put: { key: text('k') } }] }],
    ['nobody', 'KV/Txn', { success: [{ request_range: range('k') }] }],
    ['nobody', 'KV/Range', {}],
    ['nobody', 'KV/Put', {}],
    ['nobody', 'KV/Txn', { success: [{}] }],
    ['nobody', 'KV/Put', { key: text('k'), value: text('v'), ignore_value: true }],
    ['nobody', 'Auth/UserList'],
    ['nobody', 'Auth/UserGet', { name: 'root' }],
    ['nobody', 'Auth/RoleGet', { role: 'r' }],
    ['nobody', 'Auth/AuthEnable'],
    ['nobody', 'Auth/AuthDisable'],
    ['stranger', 'KV/Range', range('k')],
    ['stranger', 'KV/Put', { key: text('k') }],
    ['stranger', 'Auth/UserList'],
    login('ann', 'wrong'),
    login('none'),
    login('ann'),
    login('Bob', ''),
    login('root'),
  ],
  'what ann may do': [
    ['ann', 'KV/Put', { key: text('k1'), value: text('v') }],
    ['ann', 'KV/Put', { key: text('k1'), prev_kv: true }],
    ['ann', 'KV/Put', { key: text('l1') }],
    ['ann', 'KV/Put', { key: text('x1') }],
    ['ann', 'KV/Put', { key: text('x1'), prev_kv: true }],
    ['ann', 'KV/Range', range('k', 'm')],
    ['ann', 'KV/Range', range('k', 'm\0')],
    ['ann', 'KV/Range', range('k', OPEN)],
    ['ann', 'KV/Range', range('x1')],
    ['ann', 'KV/Range', { ...range('z'), serializable: true }],
    ['ann', 'KV/DeleteRange', range('x', OPEN)],
    ['ann', 'KV/DeleteRange', { ...range('x', OPEN), prev_kv: true }],
    ['ann', 'KV/DeleteRange', range('k', 'm')],
    ['ann', 'KV/Txn', { compare: [{ key: text('l') }], success: [{ request_put: range('x2') }] }],
    ['ann', 'KV/Txn', { compare: [{ key: text('x') }], success: [{ request_put: range('k2') }] }],
    ['ann', 'KV/Txn', { failure: [{ request_put: { key: text('a') } }] }],
    ['ann', 'KV/Txn', { failure: [{ request_delete_range: range('l') }] }],
    ['ann', 'KV/Txn', { success: [{ request_delete_range: { ...range('x'), prev_kv: true } }] }],
    ['ann', 'KV/Txn', { failure: [{ request_range: range('a') }] }],
    ['ann', 'Auth/UserGet', { name: 'ann' }],
    ['ann', 'Auth/UserGet', { name: 'root' }],
    ['ann', 'Auth/UserGet', { name: 'none' }],
    ['ann', 'Auth/RoleGet', { role: 'r' }],
    ['ann', 'Auth/RoleGet', { role: 'root' }],
    ['ann', 'Auth/UserList'],
    ['ann', 'Auth/RoleList'],
    ['ann', 'Auth/UserChangePassword', { name: 'ann', password: 'x' }],
    ['ann', 'Auth/AuthEnable'],
    ['Bob', 'KV/Range', range('k')],
    ['Bob', 'KV/Put', { key: text('k') }],
  ],
  leases: [
    ['root', 'Lease/LeaseGrant', { ID: 7, TTL: 600 }],
    ['ann', 'Lease/LeaseGrant', { ID: 8, TTL: 600 }],
    ['root', 'KV/Put', { key: text('a'), lease: 7 }],
    ['ann', 'KV/Put', { key: text('k1'), lease: 7 }],
    ['ann', 'KV/Put', { key: text('k1'), lease: 8 }],
    ['ann', 'KV/Put', { key: text('x1'), lease: 8 }],
    ['ann', 'Lease/LeaseRevoke', { ID: 7 }],
    ['ann', 'Lease/LeaseRevoke', { ID: 9 }],
    ['ann', 'Lease/LeaseRevoke', { ID: 8 }],
    ['root', 'Lease/LeaseRevoke', { ID: 7 }],
  ],
  'root stays root, and tokens end': [
    ['root', 'Auth/UserDelete', { name: 'root' }],
    ['root', 'Auth/RoleDelete', { role: 'root' }],
    ['root', 'Auth/UserRevokeRole', { name: 'root', role: 'root' }],
    ['root', 'Auth/AuthEnable'],
    ['root', 'Auth/UserAdd', { name: 'new', password: 'new' }],
    ['ann', 'KV/Range', range('k')],
    ['root', 'Auth/UserChangePassword', { name: 'ann', password: 'changed' }],
    ['ann', 'KV/Range', range('k')],
    ['ann', 'KV/Put', { key: text('k') }],
    login('ann'),
    login('ann', 'changed'),
    ['root', 'Auth/RoleDelete', { role: 'r' }],
    ['ann', 'KV/Range', range('k')],
    ['root', 'Auth/UserGet', { name: 'ann' }],
    ['root', 'Auth/UserDelete', { name: 'ann' }],
    ['ann', 'KV/Range', range('k')],
    login('ann', 'changed'),
    ['root', 'Auth/AuthDisable'],
    ['nobody', 'KV/Range', range('k')],
    ['nobody', 'Auth/UserDelete', { name: 'root' }],
    ['nobody', 'Auth/UserList'],
  ],
}

class Side {
  readonly #client: RawClient
  readonly #tokens = new Map<string, string>([['stranger', 'abcdefghijklmnop.1']])

  constructor(client: RawClient) {
    this.#client = client
  }

  /** Without what differs from cluster to cluster, and from login to login. */
  async take([who, method, request = {}]: Step): Promise<Outcome | object> {
    const token = method === 'Auth/Authenticate' ? undefined : this.#tokens.get(who)
    const metadata = token === undefined ? {} : { token }
    try {
      const answer = await this.#client.call(method, request, { metadata })
      if (method !== 'Auth/Authenticate') return { ...answer, header: revisionIn(answer) }
      const { token: given } = answer as { token: string }
      this.#tokens.set(who, given)
      return { token: given.replace(/^[a-zA-Z]{16}\.\d+$/, 'a token') }
    } catch (error) {
      return refusalIn(error)
    }
  }
}

function revisionIn({ header }: Record<string, unknown>): unknown {
  return (header as { revision?: number } | undefined)?.revision
}

function sideBySide(): void {
  describe('etcd and this server answer the same', () => {
    let etcd: RealEtcd
    let ours: Harness
    let sides: readonly [Side, Side]
    beforeAll(async () => {
      etcd = await startRealEtcd(['--bcrypt-cost=4'])
      ours = await startHarness({ auth: FAST })
      sides = [new Side(etcd.client), new Side(ours.client)]
    }, 30_000)
    afterAll(async () => {
      await ours[Symbol.asyncDispose]()
      await etcd[Symbol.asyncDispose]()
    })

    test.each(Object.entries(STORY))('%s', async (_, steps) => {
      for (const step of steps) {
        const [theirs, own] = await Promise.all(sides.map((side) => side.take(step)))
        expect({ step, answer: own }).toEqual({ step, answer: theirs })
      }
    })
  })
}

if (isInstalled('etcd')) sideBySide()
