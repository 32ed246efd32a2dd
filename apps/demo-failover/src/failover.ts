/** The story itself: write, kill, look, restart, compare. */
import type { DemoCluster, DemoMember } from './cluster.ts'
import { until } from './cluster.ts'
import type { Story } from './story.ts'
import { concurrently, createWriter, type Writer } from './writer.ts'

export interface Figures {
  /** Writes that the cluster has acknowledged. */
  readonly acknowledged: number
  /** From the kill to the acknowledgement of the first write that was begun after it. */
  readonly failoverMs: number
}

const KEYS = 1_000
const WRITERS = 50
/** Writes that are under way when the leader dies. */
const KEYS_DURING_FAILOVER = 200

/** Throws an error that says what was not as promised. */
export async function failover(cluster: DemoCluster, story: Story): Promise<Figures> {
  const { members } = cluster
  const writer = createWriter(members.map(({ client }) => client))
  await story.step(`${KEYS} keys are written, through all three members`, (progress) =>
    writeKeys(writer, progress),
  )
  const { leader, failoverMs } = await story.step(
    'The leader is killed with SIGKILL, in the middle of further writes',
    () => killLeader(cluster, writer),
  )
  const survivors = members.filter((member) => member !== leader)
  await story.step('Every acknowledged write is looked for, at both survivors', () =>
    verify(survivors, writer),
  )
  await story.step(`${leader.name} starts again, and catches up`, () => restart(leader, survivors))
  await story.step('All three members are compared', () => compare(members, writer))
  return { acknowledged: writer.acknowledged.size, failoverMs }
}

async function writeKeys(
  writer: Writer,
  progress: (text: string) => void,
): Promise<{ shows: string }> {
  const started = performance.now()
  await concurrently(KEYS, WRITERS, async (i) => {
    await writer.put(`demo/${String(i).padStart(4, '0')}`, `value ${i}`)
    if (i % 50 === 0) progress(`${writer.acknowledged.size} of ${KEYS}`)
  })
  const elapsedMs = performance.now() - started
  const rate = Math.round((KEYS / elapsedMs) * 1_000)
  return {
    shows: `${writer.acknowledged.size} acknowledged in ${Math.round(elapsedMs)} ms: ${rate} puts/s by ${WRITERS} clients`,
  }
}

async function killLeader(
  cluster: DemoCluster,
  writer: Writer,
): Promise<{ leader: DemoMember; failoverMs: number; shows: string }> {
  const leader = await cluster.leader()
  const retriesBefore = writer.retries
  // Some of these are on their way when it happens: nobody knows what becomes of them.
  let killedAt = 0
  let firstAt = Number.POSITIVE_INFINITY
  await concurrently(KEYS_DURING_FAILOVER, WRITERS, async (i) => {
    if (i === WRITERS * 2) {
      leader.process.kill('SIGKILL')
      killedAt = performance.now()
    }
    const isAfter = killedAt > 0
    await writer.put(`demo/failover/${String(i).padStart(4, '0')}`, `value ${i}`)
    if (isAfter) firstAt = Math.min(firstAt, performance.now())
  })
  const failoverMs = firstAt - killedAt
  const heir = await cluster.leader()
  if (heir === leader) throw new Error(`${leader.name} was killed, and still leads`)
  return {
    leader,
    failoverMs,
    shows: `${leader.name} is gone; ${heir.name} leads. The next write was acknowledged after ${Math.round(failoverMs)} ms; ${writer.retries - retriesBefore} attempts failed meanwhile and were repeated`,
  }
}

async function verify(
  survivors: readonly DemoMember[],
  { acknowledged }: Writer,
): Promise<{ shows: string }> {
  for (const { name, client } of survivors) {
    const found = await client.list('demo/')
    for (const [key, value] of acknowledged)
      if (found.get(key) !== value)
        throw new Error(
          `${key} was acknowledged as "${value}", and ${name} has ${found.has(key) ? `"${found.get(key)}"` : 'lost it'}`,
        )
  }
  return { shows: `${acknowledged.size} acknowledged, ${acknowledged.size} found, 0 lost` }
}

async function restart(
  leader: DemoMember,
  survivors: readonly DemoMember[],
): Promise<{ shows: string }> {
  const started = performance.now()
  await leader.restart()
  const readyMs = performance.now() - started
  const goals = await Promise.all(survivors.map(({ client }) => client.status()))
  const goal = Math.max(...goals.map(({ revision }) => revision))
  await until(`${leader.name} has reached revision ${goal}`, async () => {
    const { revision } = await leader.client.status().catch(() => ({ revision: 0 }))
    return revision >= goal ? revision : null
  })
  const caughtUpMs = performance.now() - started
  return {
    shows: `ready after ${Math.round(readyMs)} ms, and at revision ${goal} like the others after ${Math.round(caughtUpMs)} ms`,
  }
}

async function compare(members: readonly DemoMember[], writer: Writer): Promise<{ shows: string }> {
  const statuses = await Promise.all(members.map(({ client }) => client.status()))
  const revision = Math.min(...statuses.map((status) => status.revision))
  const hashes = await Promise.all(members.map(({ client }) => client.hashKv(revision)))
  const [first] = hashes
  const differs = hashes.findIndex(({ hash }) => hash !== first?.hash)
  if (differs > 0)
    throw new Error(
      `at revision ${revision} ${members[differs]?.name} holds another state than ${members[0]?.name}`,
    )
  await verify(members, writer)
  return { shows: `the same hash ${first?.hash} at revision ${revision} on all three` }
}
