import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { attributeCommand, type AuthRequest, encodeCommand } from '@coracle/kv-state-machine'
import { SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Call } from '../src/call.ts'
import {
  type AuthEnvironment,
  createEtcdServices,
  type EtcdServerOptions,
  type JwtMethod,
} from '../src/index.ts'
import { codecOf } from '../src/schema.ts'
import { systemAuthEnvironment } from '../src/environment.ts'
import { enable, FAST, type Guarded, outcomeOf, startGuarded, tokenOf } from './guarded.ts'
import { type Harness, startHarness, text } from './harness.ts'
import { stagedTime } from './staged-time.ts'

const key = text('k1')
const NOBODY = { code: 3, details: 'etcdserver: user name is empty' }
const BAD_TOKEN = { code: 16, details: 'etcdserver: invalid auth token' }
const DENIED = { code: 7, details: 'etcdserver: permission denied' }
const OLD = { code: 3, details: 'etcdserver: revision of auth store is old' }
const FAILED = {
  code: 3,
  details: 'etcdserver: authentication failed, invalid user ID or password',
}

let server: Harness

async function start(options: Partial<EtcdServerOptions> = {}): Promise<Guarded> {
  const guarded = await startGuarded(options)
  server = guarded
  return guarded
}

afterEach(() => server[Symbol.asyncDispose]())

const put = (token: string, name = 'token'): Promise<unknown> =>
  server.client.call('KV/Put', { key }, { metadata: { [name]: token } })

function asRoot(revision: number, request: AuthRequest): Uint8Array {
  return attributeCommand(encodeCommand({ type: 'auth', request }), { user: 'root', revision })
}

/** Another member had this committed. */
function change(stateMachine: Harness['stateMachine'], request: AuthRequest): void {
  const data = asRoot(stateMachine.auth.revision, request)
  stateMachine.apply([{ index: 90, term: 2, data }])
}

describe('Authenticate', () => {
  test('says so if nobody has to be identified', async () => {
    server = await startHarness({ auth: FAST })
    expect(await outcomeOf(tokenOf(server.client, 'root'))).toEqual({
      code: 9,
      details: 'etcdserver: authentication is not enabled',
    })
    // What a client brings that does not know it yet is passed over.
    await put('whatever.1')
  })

  test('gives nobody away: a stranger gets the same refusal as a wrong password', async () => {
    await start()
    expect(await outcomeOf(tokenOf(server.client, 'ann', 'wrong'))).toEqual(FAILED)
    expect(await outcomeOf(tokenOf(server.client, 'stranger'))).toEqual(FAILED)
    expect(await outcomeOf(tokenOf(server.client, 'ann', 'x'.repeat(73)))).toEqual(FAILED)
    expect(await outcomeOf(tokenOf(server.client, '', ''))).toEqual(FAILED)
  })

  test('takes an empty password if that is the password', async () => {
    const { manage } = await start()
    await manage('Auth/UserAdd', { name: 'empty' })
    expect(await tokenOf(server.client, 'empty', '')).toMatch(/^[a-zA-Z]{16}\.\d+$/)
    await manage('Auth/UserChangePassword', { name: 'ann' })
    expect(await tokenOf(server.client, 'ann', '')).toMatch(/^[a-zA-Z]{16}\.\d+$/)
  })

  test('a user without a password cannot, and changing it gives none', async () => {
    const { manage } = await start()
    const options = { no_password: true }
    await manage('Auth/UserAdd', { name: 'cn', password: 'ignored', options })
    const refused = {
      code: 2,
      details: 'auth: authentication failed, password was given for no password user',
    }
    expect(await outcomeOf(tokenOf(server.client, 'cn', 'ignored'))).toEqual(refused)
    await manage('Auth/UserChangePassword', { name: 'cn', password: 'x' })
    expect(await outcomeOf(tokenOf(server.client, 'cn', 'x'))).toEqual(refused)
  })

  test('a password longer than bcrypt looks at is refused, not cut', async () => {
    const { manage } = await start()
    const add = (length: number): Promise<unknown> =>
      manage('Auth/UserAdd', { name: `u${length}`, password: 'ü'.repeat(length / 2) })
    expect(await outcomeOf(add(72))).toBe('answered')
    expect(await outcomeOf(add(74))).toEqual({
      code: 2,
      details: 'bcrypt: password length exceeds 72 bytes',
    })
  })

  test('neither the log nor what anybody can ask for holds a password', async () => {
    const { manage, node, stateMachine } = await start()
    await manage('Auth/UserAdd', { name: 'new', password: 'a secret of theirs' })
    await tokenOf(server.client, 'new', 'a secret of theirs')
    const logged = Buffer.concat(node.commands.map((each) => Buffer.from(each)))
    expect(logged.includes('a secret of theirs')).toBe(false)
    expect(stateMachine.auth.user('new')?.passwordHash).toMatch(/^\$2[aby]\$04\$.{53}$/)
  })

  test('a password that changes while it is looked at is looked at again', async () => {
    const { node, stateMachine } = await start()
    const changed = { type: 'user-change-password', user: 'ann', passwordHash: 'x' } as const
    const propose = node.propose.bind(node)
    let isFirst = true
    // The change comes into the log between the look at the password and the request for a token.
    node.propose = async (command) => {
      if (isFirst) {
        isFirst = false
        await propose(asRoot(stateMachine.auth.revision, changed))
      }
      return propose(command)
    }
    expect(await outcomeOf(tokenOf(server.client, 'ann'))).toEqual(FAILED)
  })
})

describe('a simple token', () => {
  test('may come as authorization, with or without saying what it is', async () => {
    const { tokens } = await start()
    for (const value of [tokens.ann, `Bearer ${tokens.ann}`, `bearer ${tokens.ann}`])
      expect(await outcomeOf(put(value, 'authorization'))).toBe('answered')
    expect(await outcomeOf(put('', 'authorization'))).toEqual(BAD_TOKEN)
    expect(await outcomeOf(put('', 'token'))).toEqual(BAD_TOKEN)
  })

  test('ends when it was not used for its time, and not before', async () => {
    const time = stagedTime()
    const { tokens } = await start({
      environment: time,
      auth: { ...FAST, tokenTtlMs: 1_000 },
    })
    for (let round = 0; round < 5; round++) {
      time.advance(900)
      expect(await outcomeOf(put(tokens.ann))).toBe('answered')
    }
    expect(await outcomeOf(put(tokens.root))).toEqual(BAD_TOKEN)
    time.advance(1_000)
    expect(await outcomeOf(put(tokens.ann))).toEqual(BAD_TOKEN)
  })

  test('lives through changes to others, and ends with the password or the user', async () => {
    const { tokens, manage } = await start()
    await manage('Auth/UserAdd', { name: 'other' })
    expect(await outcomeOf(put(tokens.ann))).toBe('answered')
    await manage('Auth/UserChangePassword', { name: 'ann', password: 'new' })
    expect(await outcomeOf(put(tokens.ann))).toEqual(BAD_TOKEN)
    const again = await tokenOf(server.client, 'ann', 'new')
    expect(await outcomeOf(put(again))).toBe('answered')
    await manage('Auth/UserDelete', { name: 'ann' })
    expect(await outcomeOf(put(again))).toEqual(BAD_TOKEN)
  })

  test('ends when authentication is disabled, and does not come back with it', async () => {
    const { tokens, manage } = await start()
    await manage('Auth/AuthDisable')
    await put(tokens.ann)
    await server.client.call('Auth/AuthEnable')
    expect(await outcomeOf(put(tokens.ann))).toEqual(BAD_TOKEN)
  })

  test('of an entry that this member has not applied is awaited; others are refused at once', async () => {
    const { node, tokens } = await start()
    const index = node.status().appliedIndex
    node.hold()
    expect(await outcomeOf(put('abcdefghijklmnop.1'))).toEqual(BAD_TOKEN)
    expect(await outcomeOf(put('no such form'))).toEqual(BAD_TOKEN)
    const waiting = outcomeOf(put(`abcdefghijklmnop.${index + 1}`))
    await node.holding(1)
    node.release()
    expect(await waiting).toEqual(BAD_TOKEN)
    expect(await outcomeOf(put(tokens.ann))).toBe('answered')
  })

  test('from before this member was started is not known any more', async () => {
    server = await startHarness({ auth: FAST })
    const { stateMachine, node } = server
    const hadBeen = node.status().lastIndex
    const requests: readonly AuthRequest[] = [
      { type: 'user-add', user: 'root', passwordHash: '', noPassword: false },
      { type: 'user-grant-role', user: 'root', role: 'root' },
      { type: 'enable' },
      { type: 'authenticate', user: 'root', revision: 3, secret: 'abcdefghijklmnop' },
    ]
    // The member reads its log again, and applies what it finds there once more.
    for (const request of requests) {
      const data = encodeCommand({ type: 'auth', request })
      stateMachine.apply([{ index: hadBeen, term: 2, data }])
    }
    expect(await outcomeOf(put(`abcdefghijklmnop.${hadBeen}`))).toEqual(BAD_TOKEN)
    const again = encodeCommand({ type: 'auth', request: requests[3]! })
    stateMachine.apply([{ index: hadBeen + 1, term: 2, data: again }])
    expect(await outcomeOf(put(`abcdefghijklmnop.${hadBeen + 1}`))).toBe('answered')
  })
})

describe('a request', () => {
  test('is checked by what holds when it is applied, and not when it came', async () => {
    const { tokens, node, stateMachine } = await start()
    node.hold()
    const waiting = outcomeOf(put(tokens.ann))
    await node.holding(1)
    change(stateMachine, { type: 'user-revoke-role', user: 'ann', role: 'ann' })
    node.release()
    // It was identified before the change, so it is asked again: by what holds now, it may not.
    expect(await waiting).toEqual(DENIED)
    expect(stateMachine.keyCount).toBe(0)
  })

  test('that was identified before a change which does not touch it is carried out', async () => {
    const { tokens, node, stateMachine } = await start()
    node.hold()
    const waiting = outcomeOf(put(tokens.ann))
    await node.holding(1)
    change(stateMachine, { type: 'role-add', role: 'new' })
    node.release()
    expect(await waiting).toBe('answered')
  })

  test('to read is answered only by what may be read when it is answered', async () => {
    const { tokens, node, stateMachine } = await start()
    await server.client.call('KV/Put', { key, value: key }, { metadata: { token: tokens.ann } })
    node.hold()
    const metadata = { token: tokens.ann }
    const waiting = outcomeOf(server.client.call('KV/Range', { key }, { metadata }))
    const streaming = outcomeOf(server.client.firstOf('KV/RangeStream', { key }, metadata))
    await node.holding(2)
    change(stateMachine, { type: 'user-revoke-role', user: 'ann', role: 'ann' })
    node.release()
    expect([await waiting, await streaming]).toEqual([DENIED, DENIED])
  })

  test('that this member would refuse is refused only behind a read barrier', async () => {
    const { tokens, node, manage } = await start()
    node.hold()
    const waiting = outcomeOf(
      server.client.call(
        'KV/Range',
        { key: text('z'), serializable: true },
        { metadata: { token: tokens.ann } },
      ),
    )
    await node.holding(1)
    node.release()
    expect(await waiting).toEqual(DENIED)
    // Without a leader there is nobody to ask.
    await manage('KV/Put', { key })
    node.changeStatus({ leader: null })
    expect(await outcomeOf(server.client.call('Maintenance/Status'))).toEqual(NOBODY)
  })

  test('of a stream is asked for each time, in the order in which they came', async () => {
    const { tokens } = await start()
    using watch = server.client.duplex('Watch/Watch', { token: tokens.ann })
    for (const name of ['k1', 'z', 'k2', 'w', 'r'])
      watch.send({ create_request: { key: text(name) } })
    watch.send({ progress_request: {} })
    const reason = 'rpc error: code = PermissionDenied desc = etcdserver: permission denied'
    const refused = { watch_id: -1, created: true, canceled: true, cancel_reason: reason }
    for (const wanted of [{}, refused, { watch_id: 1 }, refused, { watch_id: 2 }])
      expect(await watch.next()).toMatchObject({ created: true, ...wanted })
    expect(await watch.next()).toMatchObject({ watch_id: -1 })
    await put(tokens.ann)
    expect(await watch.next()).toHaveProperty('events')
  })

  test('of a stream that was opened before authentication was enabled is asked, too', async () => {
    server = await startHarness({ auth: FAST })
    using watch = server.client.duplex('Watch/Watch')
    using leases = server.client.duplex('Lease/LeaseKeepAlive')
    watch.send({ create_request: { key } })
    expect(await watch.next()).toMatchObject({ created: true })
    leases.send({ ID: 1 })
    expect(await leases.next()).toMatchObject({ ID: 1 })
    await enable(server.client)
    watch.send({ create_request: { key } })
    expect(await watch.next()).toMatchObject({
      cancel_reason: 'rpc error: code = InvalidArgument desc = etcdserver: user name is empty',
    })
    leases.send({ ID: 1 })
    expect(await outcomeOf(leases.next())).toEqual(NOBODY)
    // What was created stays, as in etcd.
    await server.client.call(
      'KV/Put',
      { key },
      { metadata: { token: await tokenOf(server.client, 'ann') } },
    )
    expect(await watch.next()).toHaveProperty('events')
  })
})

describe('users and roles as clients see them', () => {
  beforeEach(async () => {
    await start()
  })

  test('lists are sorted, and the root role may do everything', async () => {
    const { manage } = server as Guarded
    expect(await manage('Auth/UserList')).toMatchObject({ users: ['ann', 'root'] })
    expect(await manage('Auth/RoleList')).toMatchObject({ roles: ['ann', 'root'] })
    expect(await manage('Auth/UserGet', { name: 'root' })).toMatchObject({ roles: ['root'] })
    expect(await manage('Auth/RoleGet', { role: 'ann' })).toMatchObject({
      perm: [{ permType: 2, key: 'k', range_end: 'l' }, { key: 'r' }, { permType: 1, key: 'w' }],
    })
    expect(await manage('Auth/RoleGet', { role: 'root' })).toMatchObject({
      perm: [{ permType: 2, range_end: '\0' }],
    })
  })

  test('AuthStatus tells everybody whether, and at which revision', async () => {
    const { revision } = server.stateMachine.auth
    const status = await server.client.call('Auth/AuthStatus')
    expect(status).toMatchObject({ enabled: true, authRevision: revision })
  })

  test('a permission that is none is refused before it is proposed', async () => {
    const { manage } = server as Guarded
    const grant = (perm?: object): Promise<unknown> =>
      manage('Auth/RoleGrantPermission', { name: 'ann', perm })
    const invalid = { code: 3, details: 'etcdserver: invalid auth management' }
    expect(await outcomeOf(grant())).toEqual({
      code: 3,
      details: 'etcdserver: permission not given',
    })
    expect(await outcomeOf(grant({}))).toEqual(invalid)
    expect(await outcomeOf(grant({ key, permType: 3 }))).toEqual(invalid)
    expect(await outcomeOf(grant({ key, range_end: key }))).toEqual(invalid)
  })
})

describe('a certificate', () => {
  const call = (commonName: string | undefined, headers: Record<string, string> = {}): Call => ({
    cancelled: false,
    commonName,
    metadata: (name) => headers[name],
    onceOver() {},
  })

  async function putAs(client: Call, clientCertificates = true): Promise<unknown> {
    const { node, stateMachine } = server
    await using services = createEtcdServices({
      node,
      stateMachine,
      cluster: { id: 1n },
      member: { id: 1n },
      auth: { ...FAST, clientCertificates },
    })
    const rpc = services.rpcs.get('/etcdserverpb.KV/Put')
    if (rpc?.kind !== 'unary') throw new Error('nobody puts')
    const request = codecOf<object>('etcdserverpb.PutRequest')
    return await outcomeOf(
      (async () => rpc.call(request.decode(request.encode({ key })), client))().catch(
        (error: { code: number; message: string }) => {
          throw Object.assign(new Error(), { code: error.code, details: error.message })
        },
      ),
    )
  }

  beforeEach(async () => {
    await start()
  })

  test('names the user, if there is one of that name', async () => {
    expect(await putAs(call('ann'))).toBe('answered')
    expect(await putAs(call('root'))).toBe('answered')
    expect(await putAs(call('stranger'))).toEqual(DENIED)
    expect(await putAs(call(undefined))).toEqual(NOBODY)
    expect(await putAs(call(''))).toEqual(NOBODY)
  })

  test('does so for users without a password', async () => {
    const { manage } = server as Guarded
    await manage('Auth/UserAdd', { name: 'cn', options: { no_password: true } })
    await manage('Auth/UserGrantRole', { user: 'cn', role: 'ann' })
    expect(await putAs(call('cn'))).toBe('answered')
  })

  test('counts less than a token, be it a bad one', async () => {
    expect(await putAs(call('root', { token: 'abcdefghijklmnop.1' }))).toEqual(BAD_TOKEN)
    expect(await putAs(call('root', { authorization: 'none' }))).toEqual(BAD_TOKEN)
  })

  test('counts for nothing unless it was asked for, or if it is the gateway’s', async () => {
    expect(await putAs(call('root'), false)).toEqual(NOBODY)
    const gateway = { 'grpcgateway-accept': 'application/json' }
    expect(await putAs(call('root', gateway))).toEqual(NOBODY)
  })
})

describe('a signed token', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = {
    publicKey: bytes(rsa.publicKey.export({ type: 'spki', format: 'pem' })),
    privateKey: bytes(rsa.privateKey.export({ type: 'pkcs1', format: 'pem' })),
  }
  let now = 1_700_000_000_000
  const environment: AuthEnvironment = { ...systemAuthEnvironment(), timeOfDay: () => now }
  const jwt = (more: object = {}): Partial<EtcdServerOptions> => ({
    auth: { ...FAST, environment, tokens: { method: 'RS256', ...pem, ...more } },
  })

  function bytes(value: string | Buffer): Uint8Array {
    return new Uint8Array(Buffer.from(value))
  }

  const claimsOf = (token: string): object =>
    JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as object

  function sign(
    claims: Record<string, unknown>,
    signing: KeyObject = rsa.privateKey,
    alg = 'RS256',
  ) {
    return new SignJWT(claims).setProtectedHeader({ alg }).sign(signing)
  }

  test('says who, at which revision, and until when', async () => {
    await start(jwt({ ttlMs: 60_000 }))
    const token = await tokenOf(server.client, 'ann')
    const exp = now / 1_000 + 60
    const { revision } = server.stateMachine.auth
    expect(claimsOf(token)).toEqual({ username: 'ann', revision, exp })
    expect(await outcomeOf(put(token))).toBe('answered')
    now += 59_000
    expect(await outcomeOf(put(token))).toBe('answered')
    now += 1_000
    expect(await outcomeOf(put(token))).toEqual(BAD_TOKEN)
  })

  test('is too old to write, read or watch with after users or roles changed', async () => {
    const { tokens, manage } = await start(jwt())
    expect(await outcomeOf(put(tokens.ann))).toBe('answered')
    await manage('Auth/RoleAdd', { name: 'new' })
    expect(await outcomeOf(put(tokens.ann))).toEqual(OLD)
    const metadata = { token: tokens.ann }
    expect(await outcomeOf(server.client.call('KV/Range', { key }, { metadata }))).toEqual(OLD)
    using watch = server.client.duplex('Watch/Watch', metadata)
    watch.send({ create_request: { key } })
    expect(await watch.next()).toMatchObject({
      cancel_reason:
        'rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old',
    })
    expect(await outcomeOf(put(await tokenOf(server.client, 'ann')))).toBe('answered')
  })

  test('is good on a member that has never seen it, and one with only the public key', async () => {
    const { tokens, stateMachine } = await start(jwt())
    await using other = await startHarness(jwt({ privateKey: undefined }))
    await other.stateMachine.restore(stateMachine.snapshot())
    const asked = other.client.call('KV/Put', { key }, { metadata: { token: tokens.ann } })
    expect(await outcomeOf(asked)).toBe('answered')
    expect(await outcomeOf(tokenOf(other.client, 'ann'))).toEqual({
      code: 2,
      details: 'auth: token signing attempted with verify-only key',
    })
  })

  test('is refused if anything about it is wrong', async () => {
    const { stateMachine } = await start(jwt())
    const { revision } = stateMachine.auth
    const good = { username: 'ann', revision }
    expect(await outcomeOf(put(await sign(good)))).toBe('answered')
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const bad = [
      await sign({ revision }),
      await sign({ username: 7, revision }),
      await sign({ username: 'ann' }),
      await sign({ username: 'ann', revision: -1 }),
      await sign({ username: 'ann', revision: '7' }),
      await sign({ ...good, exp: now / 1_000 }),
      await sign({ ...good, nbf: now / 1_000 + 1 }),
      await sign(good, stranger),
      await sign(good, rsa.privateKey, 'PS256'),
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`,
      'nothing',
      '..',
    ]
    for (const token of bad) expect(await outcomeOf(put(token))).toEqual(BAD_TOKEN)
    expect(await outcomeOf(put(await sign({ username: '', revision })))).toEqual(DENIED)
  })

  const keys: readonly (readonly [JwtMethod, () => Record<string, Uint8Array>])[] = [
    ['PS384', () => pem],
    ['ES256', () => pair('P-256')],
    ['ES512', () => pair('P-521')],
    ['EdDSA', () => pemOf(generateKeyPairSync('ed25519'))],
    ['HS256', () => ({ privateKey: bytes('a secret of 32 bytes, or of more, is best') })],
  ]
  const pair = (namedCurve: string): Record<string, Uint8Array> =>
    pemOf(generateKeyPairSync('ec', { namedCurve }))
  function pemOf(made: { privateKey: KeyObject }): Record<string, Uint8Array> {
    return { privateKey: bytes(made.privateKey.export({ type: 'pkcs8', format: 'pem' })) }
  }

  test.each(keys)('can be signed with %s', async (method, made) => {
    const { tokens } = await start({
      auth: { ...FAST, environment, tokens: { method, ...made() } },
    })
    expect(await outcomeOf(put(tokens.ann))).toBe('answered')
  })

  test('a key of the wrong kind, or none, is refused at the start', async () => {
    server = await startHarness()
    const wrong = [
      { method: 'ES256', ...pem },
      { method: 'RS256' },
      { method: 'HS256' },
      { method: 'none', ...pem },
      { method: 'RS256', privateKey: bytes('no PEM') },
    ]
    for (const tokens of wrong)
      await expect(startHarness({ auth: { tokens: tokens as never } })).rejects.toThrow(TypeError)
    await expect(startHarness(jwt({ ttlMs: 10 }))).rejects.toThrow(RangeError)
    for (const auth of [{ tokenTtlMs: 0 }, { bcryptCost: 3 }, { bcryptCost: 32 }])
      await expect(startHarness({ auth })).rejects.toThrow(RangeError)
  })
})
