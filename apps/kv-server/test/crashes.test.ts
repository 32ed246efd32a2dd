import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  concurrently,
  expectAllHold,
  putSomewhere,
  startCluster,
  type TestCluster,
  type TestMember,
} from './members.ts'

// Every test leaves all members running.
let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

describe('members that are killed with SIGKILL', () => {
  test('no acknowledged write is lost when the leader is killed while clients write', async () => {
    const { members } = cluster
    const acknowledged = new Map<string, string>()
    const write = async (i: number): Promise<void> => {
      await putSomewhere(members, `test0/${i}`, `value ${i}`)
      acknowledged.set(`test0/${i}`, `value ${i}`)
    }
    await concurrently(100, 20, write)
    const leader = await cluster.leader()
    await concurrently(300, 20, async (i) => {
      if (i === 100) leader.process.kill('SIGKILL')
      await write(1_000 + i)
    })
    const heir = await cluster.leader()
    expect(heir).not.toBe(leader)
    await expectAllHold(survivorsOf(members, leader), 'test0/', acknowledged)
    await leader.restart()
    await expectAllHold(members, 'test0/', acknowledged)
    expect(acknowledged.size).toBe(400)
  })

  test('a cluster of which every member was killed finds its data', async () => {
    const { members } = cluster
    const acknowledged = new Map<string, string>()
    await concurrently(100, 20, async (i) => {
      await putSomewhere(members, `test1/${i}`, `value ${i}`)
      acknowledged.set(`test1/${i}`, `value ${i}`)
    })
    await Promise.all(members.map((member) => member.kill()))
    await Promise.all(members.map((member) => member.restart()))
    await expectAllHold(members, 'test1/', acknowledged)
  })

  test('without a majority nothing is acknowledged, and with it everything goes on', async () => {
    const { members } = cluster
    const leader = await cluster.leader()
    const followers = survivorsOf(members, leader)
    await Promise.all(followers.map((member) => member.kill()))
    await expect(leader.client.put('lonely', '1', { timeoutMs: 2_500 })).rejects.toThrow()
    await expect(leader.client.list('lonely', { timeoutMs: 500 })).rejects.toThrow()
    expect(await leader.client.list('none', { serializable: true })).toEqual(new Map())
    const [first, second] = followers as [TestMember, TestMember]
    await first.restart()
    await putSomewhere([leader, first], 'together', '2')
    await expectAllHold([leader, first], 'together', new Map([['together', '2']]))
    await second.restart()
  })
})

describe('a leader that is told to stop', () => {
  test('hands leadership over, so that nobody waits for an election timeout', async () => {
    const { members } = cluster
    const leader = await cluster.leader()
    const others = survivorsOf(members, leader)
    const seen = others.map(({ log }) => log.length)
    leader.process.kill('SIGTERM')
    expect(await leader.process.exited).toMatchObject({ code: 0, signal: null })
    expect(leader.log.map(({ msg }) => msg)).toContain('transferred leadership')
    await putSomewhere(others, 'after', 'the hand-over')
    const since = others.flatMap(({ log }, i) => log.slice(seen[i]))
    const elections = since.filter(({ msg }) => msg === 'starting an election')
    // Whoever misses a leader asks around first; who was asked to take over does not.
    expect(elections.map(({ fields }) => fields['pre-vote'])).toEqual([false])
    await leader.restart()
    await expectAllHold(members, 'after', new Map([['after', 'the hand-over']]))
  })

  test('loses no write that clients make meanwhile through the others', async () => {
    const { members } = cluster
    const leader = await cluster.leader()
    const others = survivorsOf(members, leader)
    const acknowledged = new Map<string, string>()
    await concurrently(400, 20, async (i) => {
      if (i === 100) leader.process.kill('SIGTERM')
      await putSomewhere(others, `test4/${i}`, `value ${i}`)
      acknowledged.set(`test4/${i}`, `value ${i}`)
    })
    expect(await leader.process.exited).toMatchObject({ code: 0 })
    await leader.restart()
    await expectAllHold(members, 'test4/', acknowledged)
  })
})

function survivorsOf(members: readonly TestMember[], gone: TestMember): readonly TestMember[] {
  return members.filter((member) => member !== gone)
}
