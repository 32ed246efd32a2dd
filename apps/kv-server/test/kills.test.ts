/** SIGKILL in the middle of whatever a cluster can be asked to do. */
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KINDS, type Work } from './kills.ts'
import {
  expectAllHold,
  putSomewhere,
  startCluster,
  type TestCluster,
  type TestMember,
  until,
} from './members.ts'

let cluster: TestCluster
beforeAll(async () => {
  // Elections are many here, and nothing depends on how long they take.
  cluster = await startCluster({ flags: ['--heartbeat-interval=50', '--election-timeout=500'] })
})
afterAll(() => cluster[Symbol.asyncDispose]())

/** Acknowledged before the kill, and after it. */
const ENOUGH = 5

describe('when a member is killed with SIGKILL', () => {
  test.each(Object.entries(KINDS))(
    'no acknowledged %s is lost, and all members hold the same',
    async (name, [victim, kind]) => {
      const work = await kind(cluster)
      const load = startLoad(work, name)
      await load.acknowledged(ENOUGH)
      const gone = await find(victim)
      gone.process.kill('SIGKILL')
      await load.acknowledged(ENOUGH)
      await gone.restart()
      await load.acknowledged(1)
      const written = await load.stop()
      // Whoever is asked for it all has caught up.
      await expectAllHold(cluster.members, `load/${name}/`, written)
      for (const member of cluster.members) await work.check(member)
      await work.cleanUp?.()
      await putSomewhere(cluster.members, `${name}/after`, 'served')
      expect(load.count).toBeGreaterThan(2 * ENOUGH)
    },
  )
})

async function find(victim: 'leader' | 'follower'): Promise<TestMember> {
  const leader = await cluster.leader()
  if (victim === 'leader') return leader
  return cluster.members.find((member) => member !== leader) as TestMember
}

interface Load {
  readonly count: number
  /** Resolves when so many more were acknowledged. */
  acknowledged(more: number): Promise<void>
  /** Resolves with what was written besides. */
  stop(): Promise<ReadonlyMap<string, string>>
}

/** The work, call after call, and somebody else who writes all the time. */
function startLoad(work: Work, name: string): Load {
  const written = new Map<string, string>()
  const over = new AbortController()
  let count = 0
  let lastRefusal: unknown = null
  const doWork = async (): Promise<void> => {
    for (let i = 0; !over.signal.aborted; i++) {
      try {
        await work.act(i)
        count += 1
      } catch (error) {
        lastRefusal = error
        await setTimeout(5)
      }
    }
  }
  const write = async (): Promise<void> => {
    for (let i = 0; !over.signal.aborted; i++) {
      const member = cluster.members[i % 3] as TestMember
      const key = `load/${name}/${i}`
      const put = member.client.put(key, 'written', { timeoutMs: 1_000 })
      await put.then(() => written.set(key, 'written')).catch(() => {})
    }
  }
  const running = Promise.all([doWork(), write()])
  return {
    get count() {
      return count
    },
    async acknowledged(more) {
      const wanted = count + more
      const isDone = (): Promise<true | null> => Promise.resolve(count >= wanted || null)
      await until(`${more} more are acknowledged`, isDone).catch((error: unknown) => {
        throw new Error(`the last refusal: ${String(lastRefusal)}`, { cause: error })
      })
    },
    async stop() {
      over.abort()
      await running
      return written
    },
  }
}
