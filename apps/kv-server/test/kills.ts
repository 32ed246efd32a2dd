/** Work of every kind that a client or an operator makes of a cluster, and what must have come of it. */
import { join } from 'node:path'
import { freePorts } from '../src/processes/index.ts'
import { adminOf } from './admin.ts'
import { type TestCluster, TestMember, until } from './members.ts'

/** One kind of call, made again and again while a member is killed. */
export interface Work {
  /** Makes the call for the i-th time, through some member; resolves when it was acknowledged. */
  act(i: number): Promise<void>
  /** Rejects if anything that was acknowledged is not at this member. */
  check(member: TestMember): Promise<void>
  /** Takes back what would be in the way of others. */
  cleanUp?(): Promise<void>
}

type Kind = (cluster: TestCluster) => Work | Promise<Work>

/** Asks one member over JSON, and rejects with the code and text of a refusal. */
async function ask(member: TestMember, path: string, body: object = {}): Promise<Answer> {
  const response = await fetch(`http://${member.address}/v3/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(2_500),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${path}: ${text}`)
  return (path === 'maintenance/snapshot' ? { text } : JSON.parse(text)) as Answer
}

// oxlint-disable-next-line typescript/no-explicit-any -- JSON of whatever was asked for
type Answer = Record<string, any>

const b64 = (text: string): string => Buffer.from(text).toString('base64')

function somebody({ members }: TestCluster): TestMember {
  return members[Math.floor(Math.random() * members.length)] as TestMember
}

async function expectThere(member: TestMember, keys: Iterable<string>, is = true): Promise<void> {
  const { kvs = [] } = await ask(member, 'kv/range', { key: b64('\0'), range_end: b64('\0') })
  const there = new Set((kvs as { key: string }[]).map(({ key }) => key))
  for (const key of keys)
    if (there.has(b64(key)) !== is) throw new Error(`${key} is ${is ? 'not ' : ''}there`)
}

const puts: Kind = (cluster) => {
  const done = new Set<string>()
  return {
    async act(i) {
      await ask(somebody(cluster), 'kv/put', { key: b64(`put/${i}`), value: b64('x') })
      done.add(`put/${i}`)
    },
    check: (member) => expectThere(member, done),
  }
}

const transactions: Kind = (cluster) => {
  const done = new Set<number>()
  const pair = (i: number): string[] => [`txn/${i}/a`, `txn/${i}/b`]
  let made = 0
  return {
    async act(i) {
      made = Math.max(made, i + 1)
      const [a = '', b = ''] = pair(i)
      const success = [a, b].map((key) => ({ request_put: { key: b64(key) } }))
      const compare = [{ key: b64(a), target: 'CREATE', create_revision: '0' }]
      await ask(somebody(cluster), 'kv/txn', { compare, success })
      done.add(i)
    },
    async check(member) {
      await expectThere(member, [...done].flatMap(pair))
      const { kvs = [] } = await ask(member, 'kv/range', {
        key: b64('txn/'),
        range_end: b64('txn0'),
      })
      // Also those of which nobody knows: both or none.
      if ((kvs as object[]).length % 2 !== 0) throw new Error('half a transaction')
    },
  }
}

const deletes: Kind = (cluster) => {
  const done = new Set<string>()
  return {
    async act(i) {
      const key = `delete/${i}`
      await ask(somebody(cluster), 'kv/put', { key: b64(key) })
      await ask(somebody(cluster), 'kv/deleterange', { key: b64(key) })
      done.add(key)
    },
    check: (member) => expectThere(member, done, false),
  }
}

const compactions: Kind = (cluster) => {
  let furthest = 0
  return {
    async act(i) {
      const key = b64('compact')
      const { header } = await ask(somebody(cluster), 'kv/put', { key, value: b64(`${i}`) })
      const revision = Number(header.revision) - 1
      if (revision <= furthest) return
      await ask(somebody(cluster), 'kv/compaction', { revision })
      furthest = Math.max(furthest, revision)
    },
    async check(member) {
      const key = b64('compact')
      const early = ask(member, 'kv/range', { key, revision: furthest - 1 })
      const answer = await early.then(() => 'it', String)
      if (!answer.includes('has been compacted')) throw new Error(`${furthest} is back: ${answer}`)
      await ask(member, 'kv/range', { key, revision: furthest })
    },
  }
}

async function leasesOf(member: TestMember): Promise<Set<number>> {
  const { leases = [] } = await ask(member, 'lease/leases')
  return new Set((leases as { ID: string }[]).map(({ ID }) => Number(ID)))
}

const grants: Kind = (cluster) => {
  const done = new Set<number>()
  return {
    async act(i) {
      await ask(somebody(cluster), 'lease/grant', { ID: 1_000 + i, TTL: 600 })
      done.add(1_000 + i)
    },
    async check(member) {
      const leases = await leasesOf(member)
      for (const id of done) if (!leases.has(id)) throw new Error(`lease ${id} is not there`)
    },
  }
}

const revocations: Kind = (cluster) => {
  const done = new Set<number>()
  return {
    async act(i) {
      const ID = 5_000 + i
      await ask(somebody(cluster), 'lease/grant', { ID, TTL: 600 })
      await ask(somebody(cluster), 'kv/put', { key: b64(`revoke/${ID}`), lease: ID })
      await ask(somebody(cluster), 'lease/revoke', { ID })
      done.add(ID)
    },
    async check(member) {
      const leases = await leasesOf(member)
      for (const id of done) if (leases.has(id)) throw new Error(`lease ${id} is back`)
      const keys = [...done].map((id) => `revoke/${id}`)
      await expectThere(member, keys, false)
    },
  }
}

/** A lease of a few seconds that is renewed all the time never ends, whoever leads. */
const renewals: Kind = async (cluster) => {
  const ID = 7_000
  await ask(await cluster.leader(), 'lease/grant', { ID, TTL: 6 })
  await ask(await cluster.leader(), 'kv/put', { key: b64('renewed'), lease: ID })
  return {
    async act() {
      const { result } = await ask(somebody(cluster), 'lease/keepalive', { ID })
      if (result.TTL !== '6') throw new Error('the lease has ended')
    },
    check: (member) => expectThere(member, ['renewed']),
  }
}

const users: Kind = (cluster) => {
  const done = new Set<number>()
  return {
    async act(i) {
      const [name, role] = [`user${i}`, `role${i}`]
      const perm = { permType: 'READWRITE', key: b64(name) }
      await ask(somebody(cluster), 'auth/user/add', { name, options: { no_password: true } })
      await ask(somebody(cluster), 'auth/role/add', { name: role })
      await ask(somebody(cluster), 'auth/role/grant', { name: role, perm })
      await ask(somebody(cluster), 'auth/user/grant', { user: name, role })
      done.add(i)
    },
    async check(member) {
      const { users: names = [] } = await ask(member, 'auth/user/list')
      for (const i of done)
        if (!(names as string[]).includes(`user${i}`)) throw new Error(`no user ${i}`)
      const [last] = [...done].slice(-1)
      const { roles } = await ask(member, 'auth/user/get', { name: `user${last}` })
      if (!(roles as string[]).includes(`role${last}`)) throw new Error(`no role ${last}`)
    },
  }
}

const alarms: Kind = async (cluster) => {
  const { header } = await ask(somebody(cluster), 'maintenance/status')
  const alarm = { memberID: header.member_id as string, alarm: 'NOSPACE' }
  const clear = async (): Promise<void> => {
    await ask(somebody(cluster), 'maintenance/alarm', { ...alarm, action: 'DEACTIVATE' })
  }
  let raised: boolean | null = null
  return {
    async act(i) {
      raised = null
      if (i % 2 === 0) await ask(somebody(cluster), 'maintenance/alarm', { ...alarm, action: 1 })
      else await clear()
      raised = i % 2 === 0
    },
    async check(member) {
      const { alarms: active = [] } = await ask(member, 'maintenance/alarm')
      if (raised !== null && (active as object[]).length !== Number(raised))
        throw new Error(`the alarm is ${raised ? 'gone' : 'back'}`)
    },
    cleanUp: clear,
  }
}

const defragmentations: Kind = (cluster) => ({
  async act() {
    await ask(somebody(cluster), 'maintenance/defragment')
  },
  check: async () => {},
})

const snapshots: Kind = (cluster) => ({
  async act() {
    const { text } = await ask(somebody(cluster), 'maintenance/snapshot')
    const last = JSON.parse((text as string).trimEnd().split('\n').at(-1) ?? '{}') as Answer
    if (last['error'] !== undefined || last['result']?.remaining_bytes !== undefined)
      throw new Error('the snapshot is not whole')
  },
  check: async () => {},
})

const moves: Kind = (cluster) => ({
  async act(i) {
    const { leader } = await ask(somebody(cluster), 'maintenance/status')
    const { members } = await ask(somebody(cluster), 'cluster/member/list')
    const ids = (members as { ID: string }[]).map(({ ID }) => ID)
    const at = cluster.members.findIndex(({ plan }) =>
      (members as { ID: string; name: string }[]).some(
        (each) => each.ID === leader && each.name === plan.name,
      ),
    )
    const targetID = ids.filter((id) => id !== leader)[i % 2]
    await ask(cluster.members[at] as TestMember, 'maintenance/transfer-leadership', { targetID })
  },
  check: async () => {},
})

/** A learner that is added and removed again. */
const memberChanges: Kind = (cluster) => {
  let present: string | null = null
  let isKnown = true
  const learners = async (member: TestMember): Promise<string[]> => {
    const { members } = await ask(member, 'cluster/member/list')
    return (members as { ID: string; isLearner?: boolean }[])
      .filter(({ isLearner }) => isLearner === true)
      .map(({ ID }) => ID)
  }
  const remove = async (ID: string): Promise<void> => {
    await ask(somebody(cluster), 'cluster/member/remove', { ID })
  }
  return {
    async act(i) {
      isKnown = false
      const [left] = await learners(somebody(cluster))
      if (left === undefined) {
        const peerURLs = [`http://127.0.0.1:${10_000 + i}`]
        const { member } = await ask(somebody(cluster), 'cluster/member/add', {
          peerURLs,
          isLearner: true,
        })
        present = member.ID as string
      } else {
        await remove(left)
        present = null
      }
      isKnown = true
    },
    async check(member) {
      const there = await learners(member)
      if (isKnown && (there[0] ?? null) !== present)
        throw new Error(`learners are [${there.join()}], not ${present}`)
    },
    async cleanUp() {
      for (const ID of await learners(somebody(cluster))) await remove(ID)
    },
  }
}

/** A learner that runs becomes a voter. */
const promotions: Kind = async (cluster) => {
  const [clientPort = 0, peerPort = 0] = await freePorts(2)
  using admin = adminOf((await cluster.leader()).address)
  const { id } = await admin.add(`http://127.0.0.1:${peerPort}`, { isLearner: true })
  const plan = { name: 'promoted', clientPort, peerPort, dataDir: join(cluster.directory, 'more') }
  const plans = [...cluster.members.map((each) => each.plan), plan]
  const flags = ['--initial-cluster-state=existing']
  const more = new TestMember({ members: plans, flags }, plan)
  await more.process.ready
  const ID = BigInt(`0x${id}`).toString()
  const isVoter = async (member: TestMember): Promise<boolean> => {
    const { members } = await ask(member, 'cluster/member/list')
    const found = (members as { ID: string; isLearner?: boolean }[]).find((each) => each.ID === ID)
    return found !== undefined && found.isLearner !== true
  }
  let isPromoted = false
  return {
    async act() {
      if (!isPromoted) await ask(somebody(cluster), 'cluster/member/promote', { ID })
      isPromoted = true
      if (!(await isVoter(somebody(cluster)))) throw new Error('the voter is a learner again')
    },
    async check(member) {
      if (isPromoted !== (await isVoter(member))) throw new Error('the promotion is lost')
    },
    async cleanUp() {
      await until('the new member is removed', () =>
        ask(somebody(cluster), 'cluster/member/remove', { ID }).catch((error: unknown) =>
          String(error).includes('member not found') ? {} : null,
        ),
      )
      await more[Symbol.asyncDispose]()
    },
  }
}

/** Who is killed, and while what is done. */
export const KINDS: Readonly<Record<string, readonly ['leader' | 'follower', Kind]>> = {
  put: ['leader', puts],
  transaction: ['follower', transactions],
  delete: ['leader', deletes],
  compaction: ['leader', compactions],
  'lease grant': ['follower', grants],
  'lease keep-alive': ['leader', renewals],
  'lease revocation': ['leader', revocations],
  'change of members': ['leader', memberChanges],
  promotion: ['follower', promotions],
  'move of leadership': ['leader', moves],
  'change of users and roles': ['leader', users],
  alarm: ['follower', alarms],
  defragmentation: ['follower', defragmentations],
  snapshot: ['leader', snapshots],
}
