import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type KvCommand,
  type KvStateMachine,
  kvStateMachine,
  type PermissionType,
  type TxnRequest,
} from '../src/index.ts'
import { applyAs, codeOf, grant, guarded, manageAll, userAdd } from './auth-requests.ts'
import { apply, bytes, compare, del, op, put, range, txn } from './requests.ts'

const DENIED = 'PERMISSION_DENIED'

function putAs(
  machine: KvStateMachine,
  user: string,
  ...args: Parameters<typeof put>
): string | null {
  return codeOf(applyAs(machine, user, { type: 'put', request: put(...args) }))
}

function letters(from: string, to: string): string[] {
  const first = from.charCodeAt(0)
  const count = to.charCodeAt(0) - first + 1
  return Array.from({ length: count }, (_, at) => String.fromCharCode(first + at))
}

function ann(machine: KvStateMachine) {
  return machine.accessOf({ user: 'ann', revision: machine.auth.revision })
}

describe('who asks', () => {
  test('does not matter until authentication is enabled', () => {
    const machine = kvStateMachine()
    expect(putAs(machine, '', 'k')).toBeNull()
    expect(putAs(machine, 'stranger', 'k')).toBeNull()
    const nobody = machine.accessOf(null)
    expect([nobody.user(), nobody.root(), nobody.read(range('k'))]).toEqual([null, null, null])
    expect([nobody.seeUser('x'), nobody.seeRole('x'), nobody.keysOfLease(1n, 'read')]).toEqual([
      null,
      null,
      null,
    ])
  })

  test('must be somebody, whom there is, and who was identified since users and roles last changed', () => {
    const machine = guarded(['readwrite', 'k'])
    const { revision } = machine.auth
    const command: KvCommand = { type: 'put', request: put('k') }
    const code = (user: string, at = revision): string | null =>
      codeOf(applyAs(machine, user, command, { revision: at }))
    expect(code('')).toBe('USER_EMPTY')
    expect(code('ann', 0)).toBe('USER_EMPTY')
    expect(code('ann', revision - 1)).toBe('AUTH_REVISION_OLD')
    expect(code('root', revision - 1)).toBe('AUTH_REVISION_OLD')
    expect(code('stranger')).toBe(DENIED)
    expect(code('ann')).toBeNull()
    expect(code('root')).toBeNull()
  })

  test('is asked again when the command is applied: what was granted meanwhile does not help', () => {
    const machine = guarded(['readwrite', 'k'])
    const { revision } = machine.auth
    manageAll(machine, { type: 'user-revoke-role', user: 'ann', role: 'r' })
    const command: KvCommand = { type: 'put', request: put('k') }
    expect(codeOf(applyAs(machine, 'ann', command, { revision }))).toBe('AUTH_REVISION_OLD')
    expect(putAs(machine, 'ann', 'k')).toBe(DENIED)
    expect(machine.keyCount).toBe(0)
  })

  test('a refused command changes nothing', () => {
    const machine = guarded(['readwrite', 'k'])
    const before = machine.hash()
    const request = txn({ success: [op.put('k', 'v'), op.put('z', 'v')] })
    expect(codeOf(applyAs(machine, 'ann', { type: 'txn', request }))).toBe(DENIED)
    expect(machine.hash()).toBe(before)
  })
})

describe('the union of permissions', () => {
  /** Keys are `a`, `b`, ..., `h`, so that an interval can be told from its keys one by one. */
  const key = fc.constantFrom(...letters('a', 'h'))
  const end = fc.constantFrom('', '\0', ...letters('b', 'i'))
  const type = fc.constantFrom<PermissionType>('read', 'write', 'readwrite')
  const permission = fc
    .record({ type, key, end })
    .filter((each) => each.end <= '\0' || each.key < each.end)

  // The same interval again would take the place of the first.
  const permissionSet = fc.uniqueArray(permission, {
    maxLength: 6,
    selector: (each) => `${each.key} ${each.end}`,
  })

  /** Between two letters nothing else is asked for, but an interval holds it all the same. */
  function holds(from: string, to: string, point: string): boolean {
    if (to === '') return point === from
    return from <= point && (to === '\0' || point < to)
  }

  test('allows exactly what all of them allow together', () => {
    const points = letters('a', 'i').flatMap((letter) => [letter, `${letter}\0`])
    fc.assert(
      fc.property(permissionSet, key, end, (permissions, from, to) => {
        fc.pre(to <= '\0' || from < to)
        const machine = guarded(
          ...permissions.map((each) => [each.type, each.key, each.end] as const),
        )
        for (const wanted of ['read', 'write'] as const) {
          const granted = permissions.filter(
            (each) => each.type === wanted || each.type === 'readwrite',
          )
          const asked = points.filter((point) => holds(from, to, point))
          // Without an end there are keys beyond all letters.
          const isOpen = to !== '\0' || granted.some((each) => each.end === '\0')
          const isAllowed =
            isOpen &&
            asked.every((point) => granted.some((each) => holds(each.key, each.end, point)))
          const refusal = ann(machine)[wanted](range(from, to))
          expect(refusal).toBe(isAllowed ? null : DENIED)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('is over all roles of a user, and neighbours join', () => {
    const machine = guarded(['read', 'a', 'c'])
    manageAll(machine, { type: 'role-add', role: 's' }, grant('s', 'read', 'c', 'e'), {
      type: 'user-grant-role',
      user: 'ann',
      role: 's',
    })
    expect(ann(machine).read(range('a', 'e'))).toBeNull()
    expect(ann(machine).read(range('a', 'e\0'))).toBe(DENIED)
  })

  test('takes the end of an interval as it is sent: one zero byte is everything from the key on', () => {
    const machine = guarded(['readwrite', 'k'])
    expect(ann(machine).read(range('k'))).toBeNull()
    expect(ann(machine).read(range('k', '\0'))).toBe(DENIED)
    expect(ann(machine).write(range('k', '\0'))).toBe(DENIED)
    expect(ann(machine).read(range('k', 'k\0'))).toBeNull()
    expect(ann(guarded(['read', 'k', '\0'])).read(range('l', '\0'))).toBeNull()
    expect(ann(guarded(['read', 'k', '\xff'])).read(range('l', '\0'))).toBe(DENIED)
  })
})

describe('what a request needs', () => {
  const machine = guarded(['read', 'r', 's'], ['write', 'w', 'x'], ['readwrite', 'b', 'c'])

  test('put writes, and reads what it answers with', () => {
    expect(putAs(machine, 'ann', 'w1')).toBeNull()
    expect(putAs(machine, 'ann', 'r1')).toBe(DENIED)
    expect(putAs(machine, 'ann', 'w1', '', { prevKv: true })).toBe(DENIED)
    expect(putAs(machine, 'ann', 'b1', '', { prevKv: true })).toBeNull()
    expect(putAs(machine, 'ann', 'w1', '', { ignoreValue: true })).toBeNull()
    expect(putAs(machine, 'ann', 'w1', 'v', { ignoreLease: true })).toBeNull()
  })

  test('delete writes all of the interval, and reads what it answers with', () => {
    const delAs = (...args: Parameters<typeof del>): string | null =>
      codeOf(applyAs(machine, 'ann', { type: 'delete-range', request: del(...args) }))
    expect(delAs('w', 'x')).toBeNull()
    expect(delAs('w', 'x', { prevKv: true })).toBe(DENIED)
    expect(delAs('b', 'c', { prevKv: true })).toBeNull()
    expect(delAs('w', 'x\0')).toBe(DENIED)
    expect(delAs('w', '\0')).toBe(DENIED)
    expect(delAs('r1')).toBe(DENIED)
  })

  const denied: Readonly<Record<string, Partial<TxnRequest>>> = {
    compare: { compare: [compare('w', 'equal', { type: 'version', value: 0 })] },
    'compare over an interval': {
      compare: [{ ...compare('r', 'equal', { type: 'version', value: 0 }), rangeEnd: bytes('\0') }],
    },
    'range in the branch taken': { success: [op.range('w')] },
    'range in the other branch': { failure: [op.range('w')] },
    put: { success: [op.put('r')] },
    'put that answers with what was there': { success: [op.put('w', '', { prevKv: true })] },
    'put to a lease of others': { success: [op.put('w', '', { lease: 9n })] },
    delete: { failure: [op.del('r')] },
    'delete that answers with what was there': { failure: [op.del('w', '', { prevKv: true })] },
    'delete beyond': { success: [op.del('w', '\0')] },
  }

  test.each(Object.entries(denied))('a transaction with a %s that is not allowed', (_, part) => {
    apply(machine, { type: 'lease-grant', request: { id: 9n, ttl: 60 } })
    applyAs(machine, 'root', { type: 'lease-grant', request: { id: 9n, ttl: 60 } })
    expect(putAs(machine, 'root', 'z', '', { lease: 9n })).toBeNull()
    const asked = [
      part,
      { success: [op.txn(part)] },
      { failure: [op.txn({ failure: [op.txn(part)] })] },
    ]
    for (const each of asked) {
      const request = txn(each)
      expect(codeOf(applyAs(machine, 'ann', { type: 'txn', request }))).toBe(DENIED)
      expect(ann(machine).txn(request)).toBe(DENIED)
      expect(codeOf(applyAs(machine, 'root', { type: 'txn', request }))).toBeNull()
    }
  })

  test('a transaction of what is allowed', () => {
    const request = txn({
      compare: [compare('r', 'equal', { type: 'version', value: 0 })],
      success: [op.range('r', 's'), op.put('w'), op.del('b', 'c', { prevKv: true })],
      failure: [op.txn({ success: [op.put('b', '', { prevKv: true })] })],
    })
    expect(codeOf(applyAs(machine, 'ann', { type: 'txn', request }))).toBeNull()
  })

  test('leases are for all users; whoever ends, keeps or adds to one must be allowed all of its keys', () => {
    const leases = guarded(['readwrite', 'k'], ['write', 'w'])
    const grantAs = (user: string, id: bigint): string | null =>
      codeOf(applyAs(leases, user, { type: 'lease-grant', request: { id, ttl: 60 } }))
    const revokeAs = (user: string, id: bigint, renewal = 0): string | null =>
      codeOf(applyAs(leases, user, { type: 'lease-revoke', request: { id, renewal } }))
    expect(grantAs('', 1n)).toBe('USER_EMPTY')
    expect(grantAs('stranger', 1n)).toBe(DENIED)
    for (const id of [1n, 2n, 3n]) expect(grantAs('ann', id)).toBeNull()
    expect(putAs(leases, 'ann', 'k', '', { lease: 1n })).toBeNull()
    expect(putAs(leases, 'root', 'z', '', { lease: 2n })).toBeNull()
    expect(putAs(leases, 'ann', 'k', '', { lease: 2n })).toBe(DENIED)
    expect([ann(leases).keysOfLease(1n, 'read'), ann(leases).keysOfLease(1n, 'write')]).toEqual([
      null,
      null,
    ])
    expect(ann(leases).keysOfLease(2n, 'write')).toBe(DENIED)
    expect(leases.accessOf(null).keysOfLease(3n, 'write')).toBe('USER_EMPTY')
    expect(revokeAs('ann', 2n)).toBe(DENIED)
    expect(revokeAs('', 3n)).toBe('USER_EMPTY')
    expect(putAs(leases, 'ann', 'w', '', { lease: 3n })).toBeNull()
    expect(ann(leases).keysOfLease(3n, 'read')).toBe(DENIED)
    for (const id of [1n, 3n]) expect(revokeAs('ann', id)).toBeNull()
    // The leader measured that its time is over.
    expect(revokeAs('', 2n, leases.lease(2n)!.renewal)).toBeNull()
  })

  test('only root compacts and manages; everybody sees themselves and the roles they have', () => {
    const compact: KvCommand = { type: 'compact', request: { revision: 1 } }
    expect(codeOf(applyAs(machine, 'ann', compact))).toBe(DENIED)
    expect(codeOf(applyAs(machine, '', compact))).toBe('USER_EMPTY')
    const manage: KvCommand = { type: 'auth', request: userAdd('new') }
    expect(codeOf(applyAs(machine, 'ann', manage))).toBe(DENIED)
    expect(codeOf(applyAs(machine, '', manage))).toBe('USER_EMPTY')
    const access = ann(machine)
    expect([access.user(), access.root()]).toEqual([null, DENIED])
    expect([access.seeUser('ann'), access.seeUser('root')]).toEqual([null, DENIED])
    expect([access.seeRole('r'), access.seeRole('none')]).toEqual([null, DENIED])
    const nobody = machine.accessOf(null)
    expect([nobody.seeUser(''), nobody.seeRole('r')]).toEqual(['USER_EMPTY', 'USER_EMPTY'])
    const stranger = machine.accessOf({ user: 'stranger', revision: 100 })
    expect([stranger.user(), stranger.root(), stranger.seeUser('stranger')]).toEqual([
      DENIED,
      DENIED,
      DENIED,
    ])
  })
})
