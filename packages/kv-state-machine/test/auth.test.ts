import { CodecError } from '@coracle/raft-core/codec'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  attributeCommand,
  type AuthRequest,
  decodeCommand,
  encodeCommand,
  identityOf,
  type KvCommand,
  kvStateMachine,
} from '../src/index.ts'
import { applyAs, codeOf, grant, guarded, manage, manageAll, userAdd } from './auth-requests.ts'
import { bytes, put, read, text } from './requests.ts'

function authenticate(user: string, revision: number): AuthRequest {
  return { type: 'authenticate', user, revision, secret: 'abc' }
}

describe('users and roles, as in etcd', () => {
  test('a new store has revision 1, and every change but enabling takes the next', () => {
    const machine = kvStateMachine()
    expect(machine.auth).toMatchObject({ enabled: false, revision: 1 })
    const requests: readonly (readonly [AuthRequest, number])[] = [
      [userAdd('root'), 2],
      [{ type: 'user-grant-role', user: 'root', role: 'root' }, 3],
      [{ type: 'enable' }, 3],
      [{ type: 'enable' }, 3],
      [{ type: 'role-add', role: 'r' }, 4],
      [grant('r', 'read', 'k'), 5],
      [userAdd('ann'), 6],
      [{ type: 'user-grant-role', user: 'ann', role: 'r' }, 7],
      [{ type: 'user-grant-role', user: 'ann', role: 'r' }, 7],
      [{ type: 'user-change-password', user: 'ann', passwordHash: 'x' }, 8],
      [{ type: 'role-revoke-permission', role: 'r', interval: grantOf('k') }, 9],
      [{ type: 'user-revoke-role', user: 'ann', role: 'r' }, 10],
      [{ type: 'role-delete', role: 'r' }, 11],
      [{ type: 'user-delete', user: 'ann' }, 12],
      [{ type: 'disable' }, 13],
      [{ type: 'disable' }, 13],
    ]
    for (const [request, revision] of requests) {
      manageAll(machine, request)
      expect([request.type, machine.auth.revision]).toEqual([request.type, revision])
    }
    // None of it is a change of keys.
    expect(machine.revision).toBe(1)
  })

  test('enabling needs the user root, who has the role root, which need not exist', () => {
    const machine = kvStateMachine()
    expect(manage(machine, { type: 'enable' })).toBe('ROOT_USER_NOT_FOUND')
    manageAll(machine, userAdd('root'))
    expect(manage(machine, { type: 'enable' })).toBe('ROOT_ROLE_NOT_GRANTED')
    manageAll(machine, { type: 'user-grant-role', user: 'root', role: 'root' }, { type: 'enable' })
    expect(machine.auth.enabled).toBe(true)
    expect(machine.auth.role('root')).toBeNull()
  })

  test('what is there cannot be added, and what is not there can be neither changed nor taken', () => {
    const machine = kvStateMachine()
    manageAll(machine, userAdd('ann'), { type: 'role-add', role: 'r' })
    const refused: readonly (readonly [AuthRequest, string])[] = [
      [userAdd('ann'), 'USER_EXISTS'],
      [userAdd(''), 'USER_EMPTY'],
      [{ type: 'user-delete', user: 'bob' }, 'USER_NOT_FOUND'],
      [{ type: 'user-change-password', user: 'bob', passwordHash: '' }, 'USER_NOT_FOUND'],
      [{ type: 'user-grant-role', user: 'bob', role: 'r' }, 'USER_NOT_FOUND'],
      [{ type: 'user-grant-role', user: 'ann', role: 'none' }, 'ROLE_NOT_FOUND'],
      [{ type: 'user-revoke-role', user: 'bob', role: 'r' }, 'USER_NOT_FOUND'],
      [{ type: 'user-revoke-role', user: 'ann', role: 'r' }, 'ROLE_NOT_GRANTED'],
      [{ type: 'role-add', role: 'r' }, 'ROLE_EXISTS'],
      [{ type: 'role-add', role: '' }, 'ROLE_EMPTY'],
      [{ type: 'role-delete', role: 'none' }, 'ROLE_NOT_FOUND'],
      [grant('none', 'read', 'k'), 'ROLE_NOT_FOUND'],
      [{ type: 'role-revoke-permission', role: 'none', interval: grantOf('k') }, 'ROLE_NOT_FOUND'],
      [
        { type: 'role-revoke-permission', role: 'r', interval: grantOf('k') },
        'PERMISSION_NOT_GRANTED',
      ],
    ]
    const before = machine.hash()
    for (const [request, code] of refused) expect(manage(machine, request)).toBe(code)
    expect(machine.hash()).toBe(before)
  })

  test('while it is enabled, root stays root', () => {
    const machine = guarded()
    manageAll(machine, { type: 'role-add', role: 'root' })
    const refused: readonly AuthRequest[] = [
      { type: 'user-revoke-role', user: 'root', role: 'root' },
      { type: 'role-delete', role: 'root' },
      { type: 'user-delete', user: 'root' },
    ]
    for (const request of refused) expect(manage(machine, request)).toBe('INVALID_AUTH_MANAGEMENT')
    manageAll(machine, { type: 'disable' }, ...refused)
  })

  test('a permission has a key, and an end that is none, open, or after the key', () => {
    const machine = kvStateMachine()
    manageAll(machine, { type: 'role-add', role: 'r' })
    for (const [key, end] of [
      ['', ''],
      ['', '\0'],
      ['b', 'a'],
      ['b', 'b'],
      ['b', '\0\0'],
    ])
      expect(manage(machine, grant('r', 'read', key!, end))).toBe('INVALID_AUTH_MANAGEMENT')
    for (const [key, end] of [
      ['b', ''],
      ['b', '\0'],
      ['b', 'b\0'],
      ['\0', '\0'],
      ['\0', '\0\0'],
    ])
      expect(manage(machine, grant('r', 'read', key!, end))).toBeNull()
  })

  test('the same interval granted again has the new type; others are sorted in by key', () => {
    const machine = kvStateMachine()
    manageAll(
      machine,
      { type: 'role-add', role: 'r' },
      grant('r', 'read', 'm'),
      grant('r', 'read', 'c', 'd'),
      grant('r', 'write', 'x'),
      grant('r', 'write', 'm'),
      grant('r', 'write', 'm', 'n'),
    )
    const granted = (): string[] =>
      machine.auth
        .role('r')!
        .permissions.map(({ type, key, rangeEnd }) => `${type} ${text(key)}-${text(rangeEnd)}`)
    expect(granted()).toEqual(['read c-d', 'write m-', 'write m-n', 'write x-'])
    // etcd looks at the first that begins with the key only.
    manageAll(machine, grant('r', 'read', 'm', 'n'))
    expect(granted()).toEqual(['read c-d', 'write m-', 'write m-n', 'read m-n', 'write x-'])
    manageAll(machine, {
      type: 'role-revoke-permission',
      role: 'r',
      interval: { key: bytes('m'), rangeEnd: bytes('n') },
    })
    expect(granted()).toEqual(['read c-d', 'write m-', 'write x-'])
  })

  test('a role that is deleted is taken from everybody', () => {
    const machine = guarded(['read', 'k'])
    manageAll(machine, { type: 'role-delete', role: 'r' })
    expect(machine.auth.user('ann')?.roles).toEqual([])
  })

  test('names and roles are sorted by their bytes, which are UTF-8', () => {
    const machine = kvStateMachine()
    const names = ['\u{1F600}', '\uFFFD', 'b', 'a', 'B']
    for (const name of names) manageAll(machine, userAdd(name), { type: 'role-add', role: name })
    for (const role of names) manageAll(machine, { type: 'user-grant-role', user: 'a', role })
    const sorted = ['B', 'a', 'b', '\uFFFD', '\u{1F600}']
    expect(machine.auth.userNames()).toEqual(sorted)
    expect(machine.auth.roleNames()).toEqual(sorted)
    expect(machine.auth.user('a')?.roles).toEqual(sorted)
  })

  test('who has no password does not get one by changing it', () => {
    const machine = kvStateMachine()
    manageAll(machine, userAdd('cn', true), {
      type: 'user-change-password',
      user: 'cn',
      passwordHash: 'x',
    })
    expect(machine.auth.user('cn')).toMatchObject({ noPassword: true, passwordHash: '' })
  })
})

describe('tokens', () => {
  test('are made of the secret and the index of the entry, and told to whoever follows', () => {
    const machine = guarded()
    const told: unknown[] = []
    const stop = machine.followAuth({
      authenticated: (...args) => void told.push(args),
      credentialsChanged: (user) => void told.push(user),
      reset: () => void told.push('reset'),
    })
    const request = authenticate('ann', machine.auth.revision)
    const result = applyAs(machine, '', { type: 'auth', request }, { index: 7 })
    expect(result).toEqual({ type: 'auth', token: 'abc.7', revision: 1 })
    manageAll(machine, { type: 'user-change-password', user: 'ann', passwordHash: 'x' })
    manageAll(machine, { type: 'user-delete', user: 'ann' }, { type: 'disable' })
    expect(told).toEqual([['ann', 'abc.7', 7], 'ann', 'ann', 'reset'])
    stop()
    manageAll(machine, { type: 'enable' }, { type: 'disable' })
    expect(told).toHaveLength(4)
  })

  test('are not given for a password that was right before users or roles changed', () => {
    const machine = guarded()
    const { revision } = machine.auth
    manageAll(machine, { type: 'user-change-password', user: 'ann', passwordHash: 'x' })
    expect(manage(machine, authenticate('ann', revision), '')).toBe('AUTH_REVISION_OLD')
  })

  test('are not given to strangers, to who has no password, or if nobody has to be identified', () => {
    const machine = guarded()
    manageAll(machine, userAdd('cn', true))
    const ask = (user: string): string | null =>
      manage(machine, authenticate(user, machine.auth.revision), '')
    expect(ask('stranger')).toBe('AUTH_FAILED')
    expect(ask('cn')).toBe('AUTH_FAILED')
    manageAll(machine, { type: 'disable' })
    expect(ask('ann')).toBe('AUTH_NOT_ENABLED')
  })

  test('are all forgotten when a snapshot is restored', async () => {
    const machine = guarded()
    let resets = 0
    machine.followAuth({
      authenticated() {},
      credentialsChanged() {},
      reset: () => void (resets += 1),
    })
    await machine.restore(guarded().snapshot())
    expect(resets).toBe(1)
  })
})

describe('snapshots and hashes', () => {
  test('hold users and roles, and what follows from them is found anew', async () => {
    const original = guarded(['readwrite', 'k', 'l'])
    const machine = guarded()
    expect(codeOf(applyAs(machine, 'ann', { type: 'put', request: put('k1') }))).toBe(
      'PERMISSION_DENIED',
    )
    await machine.restore(original.snapshot())
    expect(machine.hash()).toBe(original.hash())
    expect(machine.auth.revision).toBe(original.auth.revision)
    expect(codeOf(applyAs(machine, 'ann', { type: 'put', request: put('k1') }))).toBeNull()
  })

  test('stay as they were through later changes, and go over many blocks', async () => {
    const machine = guarded(['read', 'k'])
    for (let at = 0; at < 1500; at++)
      manageAll(machine, userAdd(`user${at}`), grant('r', 'write', `some/longer/key/${at}`))
    const hash = machine.hash()
    const snapshot = machine.snapshot()
    manageAll(machine, { type: 'role-delete', role: 'r' }, { type: 'user-delete', user: 'ann' })
    expect(machine.hash()).not.toBe(hash)
    const restored = kvStateMachine()
    await restored.restore(snapshot)
    expect(restored.hash()).toBe(hash)
  })

  test('of the version before users and roles restore without any', async () => {
    const machine = guarded()
    await machine.restore(
      (async function* () {
        yield Uint8Array.from(OLD_SNAPSHOT.match(/../g) ?? [], (pair) => parseInt(pair, 16))
      })(),
    )
    expect(machine.auth).toMatchObject({ enabled: false, revision: 1 })
    expect(machine.auth.userNames()).toEqual([])
    expect(text(read(machine, 'old').kvs[0]!.value)).toBe('value')
    expect(machine.leases()).toHaveLength(1)
  })

  test("users and roles are in the hash of everything, and not in etcd's hash of keys", () => {
    const one = guarded()
    const two = guarded()
    manageAll(two, userAdd('bob'))
    expect(one.hash()).not.toBe(two.hash())
    expect(one.hashKv(0)).toEqual(two.hashKv(0))
  })
})

describe('commands that say who asks', () => {
  const command: KvCommand = { type: 'put', request: put('k', 'v', { lease: 7n }) }

  test('come back as they were, and those that do not say name nobody', () => {
    const identity = { user: 'Ännchen', revision: 12 }
    const data = attributeCommand(encodeCommand(command), identity)
    expect(identityOf(data)).toEqual(identity)
    expect(decodeCommand(data)).toEqual(command)
    expect(identityOf(encodeCommand(command))).toBeNull()
  })

  test('of every kind come back as they were', () => {
    const requests: readonly AuthRequest[] = [
      { type: 'enable' },
      { type: 'disable' },
      authenticate('ann', 4),
      userAdd('ann'),
      userAdd('cn', true),
      { type: 'user-delete', user: 'a' },
      { type: 'user-change-password', user: 'a', passwordHash: 'h' },
      { type: 'user-grant-role', user: 'a', role: 'r' },
      { type: 'user-revoke-role', user: 'a', role: 'r' },
      { type: 'role-add', role: 'r' },
      { type: 'role-delete', role: 'r' },
      grant('r', 'readwrite', 'a', 'b'),
      { type: 'role-revoke-permission', role: 'r', interval: grantOf('k') },
    ]
    for (const request of requests) {
      const data = encodeCommand({ type: 'auth', request })
      expect(decodeCommand(data)).toEqual({ type: 'auth', request })
      for (let length = 0; length < data.length; length++)
        expect(() => decodeCommand(data.subarray(0, length))).toThrow(CodecError)
    }
  })

  test('that are damaged are refused, and never attributed twice', () => {
    const data = attributeCommand(encodeCommand(command), { user: 'ann', revision: 1 })
    const twice = attributeCommand(data, { user: 'root', revision: 1 })
    expect(() => decodeCommand(twice)).toThrow(CodecError)
    const machine = guarded()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (tail) => {
        const hostile = Uint8Array.of(2, ...tail)
        const [result] = machine.apply([{ index: 1, term: 1, data: hostile }])
        expect(codeOf(result!)).not.toBeNull()
      }),
    )
  })
})

function grantOf(key: string): { key: Uint8Array; rangeEnd: Uint8Array } {
  return { key: bytes(key), rangeEnd: bytes('') }
}

/** A put of `old=value`, and a lease, by the version before this one. */
const OLD_SNAPSHOT = [
  '434b5653021d000000b7d21efb010200000000000000000000000000000000000000010000000000',
  '000021000000bc043d7e0400000000050000003c000000000000003c000000000000000100000000',
  '00000022000000b8f01b27020802000000000000000000000005000000030000006f6c6405000000',
  '76616c7565090000002f748c7f030200000000000000',
].join('')
