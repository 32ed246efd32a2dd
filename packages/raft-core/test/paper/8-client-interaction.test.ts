import { describe, expect, test } from 'vitest'
import { Cluster } from '../support/cluster.ts'
import { accepted, only, text } from '../support/messages.ts'
import { server } from '../support/server.ts'

describe('§8 client interaction', () => {
  test('only a leader takes commands', () => {
    const a = server()
    expect(a.propose('x')).toMatchObject({ accepted: 0, why: 'not the leader' })
    a.input((raft) => raft.campaign())
    expect(a.propose('x')).toMatchObject({ accepted: 0, why: 'not the leader' })
    expect(a.raft.lastIndex).toBe(1)
  })

  test('a leader commits a blank entry at the start of its term to learn what is committed', () => {
    const a = server({ terms: [1] })
    const [first] = only(a.lead(), 'append-entries')
    expect(first?.entries).toEqual([{ index: 3, term: 2, type: 'no-op', data: new Uint8Array(0) }])
    expect(a.raft.commitIndex).toBe(1)
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    expect(a.raft.commitIndex).toBe(3)
    // The blank entry is nothing to the state machine.
    expect(a.state).toEqual(['1/2'])
  })

  test('followers know who leads', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('b')
    expect([...cluster.servers.values()].map(({ raft }) => raft.leader)).toEqual(['b', 'b', 'b'])
  })

  test('commands stand in the log in the order they were proposed, and are answered with their place', () => {
    const a = server()
    a.lead()
    expect(a.propose('x', 'y')).toMatchObject({ accepted: 2, first: { term: 2, index: 3 } })
    expect(a.propose('z')).toMatchObject({ accepted: 1, first: { term: 2, index: 5 } })
    expect(a.propose()).toMatchObject({ accepted: 0, first: { term: 2, index: 6 }, why: null })
    a.receive(accepted({ from: 'b', term: 2, index: 5 }))
    expect(a.state).toEqual(['x', 'y', 'z'])
  })

  test('a single command always fits, however large, but not behind another', () => {
    const a = server({}, { maxUncommittedBytes: 500 })
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    const huge = new Uint8Array(10_000)
    expect(a.input((raft) => raft.propose([huge, text('x')]))).toMatchObject({
      accepted: 1,
      why: 'too much is uncommitted',
    })
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    expect(a.propose('x')).toMatchObject({ accepted: 1, why: null })
  })
})
