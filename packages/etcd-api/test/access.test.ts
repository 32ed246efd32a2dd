import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ruleOf } from '../src/access.ts'
import { allMethods, type MethodSchema } from '../src/schema.ts'
import { type Guarded, type Outcome, outcomeOf, refusalIn, startGuarded } from './guarded.ts'
import { text } from './harness.ts'

const NOBODY: Outcome = { code: 3, details: 'etcdserver: user name is empty' }
const DENIED: Outcome = { code: 7, details: 'etcdserver: permission denied' }
const BAD_TOKEN: Outcome = { code: 16, details: 'etcdserver: invalid auth token' }

/** What somebody without a token gets, and what `ann` gets; root is refused nothing. */
type Row = readonly [method: string, request: object, nobody: Outcome, ann: Outcome]

const forAnyone = (method: string, request: object = {}): Row => [
  method,
  request,
  'answered',
  'answered',
]
const forUsers = (method: string, request: object = {}): Row => [
  method,
  request,
  NOBODY,
  'answered',
]
const forRoot = (method: string, request: object = {}): Row => [method, request, NOBODY, DENIED]

/** Keys that `ann` may read and write, only read, only write, and neither. */
const [both, readable, writable, secret] = [text('k1'), text('r'), text('w'), text('z')]
const OPEN = Uint8Array.of(0)
/** Leases of a key of hers, of a key of root's, and of none. */
const [HERS, HIDDEN, BARE] = [11, 12, 13]
/** Leases of nothing but locks and elections under `k/`, and under `z/`. */
const [LOCKS, HIDDEN_LOCKS] = [14, 15]

const range = (key: Uint8Array, range_end?: Uint8Array): object => ({ key, range_end })
const put = (key: Uint8Array, more: object = {}): object => ({ key, ...more })
const txn = (operation: object): object[] => [
  { success: [operation] },
  { failure: [operation] },
  { success: [{ request_txn: { failure: [operation] } }] },
  { failure: [{ request_txn: { success: [{ request_txn: { success: [operation] } }] } }] },
]
const withTxns = (
  row: (method: string, request: object) => Row,
  operation: string,
  request: object,
) => txn({ [operation]: request }).map((each) => row('KV/Txn', each))

function coordination(
  row: (method: string, request: object) => Row,
  prefix: string,
  lease: number,
): readonly Row[] {
  const [lock, election] = [text(`${prefix}/lock`), text(`${prefix}/election`)]
  const leader = { name: election, key: text(`${prefix}/election/${lease.toString(16)}`), lease }
  return [
    row('Lock/Lock', { name: lock, lease }),
    row('Lock/Unlock', { key: lock }),
    row('Election/Campaign', { name: election, lease, value: lock }),
    row('Election/Proclaim', { leader }),
    row('Election/Leader', { name: election }),
    row('Election/Observe', { name: election }),
    row('Election/Resign', { leader }),
  ]
}

/** Each method with every request that is judged in a way of its own. */
const TABLE: readonly Row[] = [
  ...[range(both), range(text('k'), text('l')), range(readable)].flatMap((each) => [
    forUsers('KV/Range', each),
    forUsers('KV/Range', { ...each, serializable: true }),
    forUsers('KV/RangeStream', each),
    ...withTxns(forUsers, 'request_range', each),
  ]),
  ...[
    range(writable),
    range(secret),
    range(both, OPEN),
    range(readable, OPEN),
    range(OPEN, OPEN),
  ].flatMap((each) => [
    forRoot('KV/Range', each),
    forRoot('KV/Range', { ...each, serializable: true }),
    forRoot('KV/RangeStream', each),
    ...withTxns(forRoot, 'request_range', each),
  ]),
  ...[
    put(both),
    put(both, { prev_kv: true }),
    put(writable),
    put(both, { ignore_value: true }),
    put(both, { ignore_lease: true }),
    put(both, { lease: HERS }),
    put(both, { lease: BARE }),
  ].flatMap((each) => [forUsers('KV/Put', each), ...withTxns(forUsers, 'request_put', each)]),
  ...[
    put(readable),
    put(secret),
    put(writable, { prev_kv: true }),
    put(both, { lease: HIDDEN }),
  ].flatMap((each) => [forRoot('KV/Put', each), ...withTxns(forRoot, 'request_put', each)]),
  ...[
    range(both),
    range(text('k'), text('l')),
    { ...range(both), prev_kv: true },
    range(writable),
  ].flatMap((each) => [
    forUsers('KV/DeleteRange', each),
    ...withTxns(forUsers, 'request_delete_range', each),
  ]),
  ...[range(readable), { ...range(writable), prev_kv: true }, range(writable, OPEN)].flatMap(
    (each) => [forRoot('KV/DeleteRange', each), ...withTxns(forRoot, 'request_delete_range', each)],
  ),
  forUsers('KV/Txn', { compare: [{ key: readable }] }),
  forRoot('KV/Txn', { compare: [{ key: writable }] }),
  forRoot('KV/Txn', { compare: [{ key: readable, range_end: OPEN }] }),
  forRoot('KV/Txn', { compare: [{ key: secret }], success: [{ request_put: put(both) }] }),
  forRoot('KV/Compact', { revision: 2 }),
  ...[range(both), range(text('k'), text('l')), range(readable)].map((each) =>
    forUsers('Watch/Watch', { create_request: each }),
  ),
  ...[range(writable), range(secret), range(both, OPEN), range(text(''), OPEN)].map((each) =>
    forRoot('Watch/Watch', { create_request: each }),
  ),
  forUsers('Lease/LeaseGrant', { TTL: 60 }),
  forUsers('Lease/LeaseKeepAlive', { ID: HERS }),
  forUsers('Lease/LeaseKeepAlive', { ID: BARE }),
  forUsers('Lease/LeaseKeepAlive', { ID: 99 }),
  forRoot('Lease/LeaseKeepAlive', { ID: HIDDEN }),
  forUsers('Lease/LeaseTimeToLive', { ID: HERS, keys: true }),
  forUsers('Lease/LeaseTimeToLive', { ID: HIDDEN }),
  forRoot('Lease/LeaseTimeToLive', { ID: HIDDEN, keys: true }),
  forRoot('Lease/LeaseLeases'),
  forRoot('Lease/LeaseRevoke', { ID: HIDDEN }),
  forUsers('Lease/LeaseRevoke', { ID: HERS }),
  forUsers('Lease/LeaseRevoke', { ID: BARE }),
  forUsers('Cluster/MemberList'),
  ...['MemberAdd', 'MemberRemove', 'MemberUpdate', 'MemberPromote'].map((each) =>
    forRoot(`Cluster/${each}`),
  ),
  forUsers('Maintenance/Status'),
  forUsers('Maintenance/Alarm'),
  forRoot('Maintenance/Alarm', { action: 1 }),
  forRoot('Maintenance/Alarm', { action: 2 }),
  ...['Defragment', 'Hash', 'HashKV', 'Snapshot', 'MoveLeader', 'Downgrade'].map((each) =>
    forRoot(`Maintenance/${each}`),
  ),
  forAnyone('Auth/AuthStatus'),
  forAnyone('Auth/Authenticate', { name: 'ann', password: 'ann' }),
  forRoot('Auth/AuthEnable'),
  forRoot('Auth/UserAdd', { name: 'new' }),
  forRoot('Auth/UserGet', { name: 'root' }),
  forUsers('Auth/UserGet', { name: 'ann' }),
  forRoot('Auth/UserList'),
  forRoot('Auth/UserChangePassword', { name: 'ann', password: 'mine' }),
  forRoot('Auth/UserGrantRole', { user: 'ann', role: 'root' }),
  forRoot('Auth/UserRevokeRole', { name: 'ann', role: 'root' }),
  forRoot('Auth/UserDelete', { name: 'new' }),
  forRoot('Auth/RoleAdd', { name: 'new' }),
  forRoot('Auth/RoleGet', { role: 'root' }),
  forUsers('Auth/RoleGet', { role: 'ann' }),
  forRoot('Auth/RoleList'),
  forRoot('Auth/RoleGrantPermission', { name: 'new', perm: { key: secret } }),
  forRoot('Auth/RoleRevokePermission', { role: 'new', key: secret }),
  forRoot('Auth/RoleDelete', { role: 'new' }),
  ...coordination(forUsers, 'k', LOCKS),
  ...coordination(forRoot, 'z', HIDDEN_LOCKS),
  forAnyone('Health/Check'),
  forAnyone('Health/Watch'),
  forAnyone('reflection.v1.ServerReflection/ServerReflectionInfo', { list_services: '' }),
  forAnyone('reflection.v1alpha.ServerReflection/ServerReflectionInfo', { list_services: '' }),
  forRoot('Auth/AuthDisable'),
]

let guarded: Guarded

beforeAll(async () => {
  guarded = await startGuarded()
  const { manage } = guarded
  for (const ID of [HERS, HIDDEN, BARE, LOCKS, HIDDEN_LOCKS])
    await manage('Lease/LeaseGrant', { ID, TTL: 600 })
  await manage('KV/Put', { key: text('k2'), lease: HERS })
  await manage('KV/Put', { key: text('z2'), lease: HIDDEN })
  await manage('KV/Put', { key: both })
  for (const [prefix, lease] of Object.entries({ k: LOCKS, z: HIDDEN_LOCKS }))
    await manage('Election/Campaign', { name: text(`${prefix}/election`), lease })
})
afterAll(() => guarded[Symbol.asyncDispose]())

function schemaOf(name: string): MethodSchema {
  const found = allMethods().find(({ service, method }) => `${service}/${method}`.endsWith(name))
  if (found === undefined) throw new Error(`there is no method ${name}`)
  return found
}

/** A watch that is not created says why in its answer, in the words of Go. */
const GO_NAMES: Readonly<Record<string, number>> = {
  InvalidArgument: 3,
  PermissionDenied: 7,
  Unauthenticated: 16,
}

async function ask(name: string, request: object, token: string | null): Promise<Outcome> {
  const { client } = guarded
  const metadata = token === null ? {} : { token }
  const { requestStream, responseStream } = schemaOf(name)
  if (!requestStream)
    return outcomeOf(
      responseStream
        ? client.firstOf(name, request, metadata)
        : client.call(name, request, { metadata }),
    )
  using stream = client.duplex(name, metadata)
  stream.send(request)
  try {
    const { cancel_reason } = await stream.next()
    const told = /^rpc error: code = (\w+) desc = (.*)$/.exec(String(cancel_reason))
    return told === null ? 'answered' : { code: GO_NAMES[told[1]!] ?? 2, details: told[2]! }
  } catch (error) {
    return refusalIn(error)
  }
}

/** Who is not refused may still be told that the request cannot be, but never why others may not. */
function expectOutcome(outcome: Outcome, wanted: Outcome): void {
  if (wanted !== 'answered') return expect(outcome).toEqual(wanted)
  for (const refusal of [NOBODY, DENIED, BAD_TOKEN]) expect(outcome).not.toEqual(refusal)
}

describe('every method of etcd', () => {
  const names = allMethods().map(({ service, method }) => `${service}/${method}`)

  test('has a rule', () => {
    for (const schema of allMethods()) expect(ruleOf(schema)).toHaveProperty('when')
    expect(() => ruleOf({ ...schemaOf('KV/Put'), method: 'New' })).toThrow(TypeError)
  })

  test('is in the table below', () => {
    const covered = new Set(TABLE.map(([name]) => names.indexOf(fullName(name))))
    expect(names.filter((_, at) => !covered.has(at))).toEqual([])
  })

  function fullName(name: string): string {
    const { service, method } = schemaOf(name)
    return `${service}/${method}`
  }
})

describe.each([
  ['without a token', (): string | null => null, 2],
  ['as a user with few permissions', (): string | null => guarded.tokens.ann, 3],
] as const)('%s', (_, token, column) => {
  test.each(TABLE.map((row) => [...row]))('%s %j', async (...row) => {
    const [name, request] = row
    const revision = guarded.stateMachine.auth.revision
    expectOutcome(await ask(name, request, token()), row[column])
    if (row[column] !== 'answered') expect(guarded.stateMachine.auth.revision).toBe(revision)
  })
})

describe('with a token that stands for nobody', () => {
  const once = [...new Map(TABLE.map((row) => [row[0], row])).values()]

  test.each(once.map((row) => [...row]))('%s %j', async (name, request, nobody) => {
    const outcome = await ask(name, request, 'abcdefghijklmnop.1')
    expectOutcome(outcome, nobody === 'answered' ? 'answered' : BAD_TOKEN)
  })
})

describe('as root', () => {
  test.each(TABLE.map((row) => [...row]))('%s %j', async (name, request) => {
    expectOutcome(await ask(name, request, guarded.tokens.root), 'answered')
  })
})
