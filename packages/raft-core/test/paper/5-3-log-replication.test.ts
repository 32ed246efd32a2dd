import { describe, expect, test } from 'vitest'
import type { NodeId, Term } from '../../src/types.ts'
import { Cluster, from, ofType, to } from '../support/cluster.ts'
import {
  accepted,
  appendEntries,
  type At,
  command,
  commands,
  heartbeat,
  only,
  refused,
  text,
  voters,
} from '../support/messages.ts'
import { diskWith, type Server, server } from '../support/server.ts'

/** A leader whose only entry after the no-op is on its own disk, and acknowledged by nobody else. */
function leaderWithOneEntryOnItsWay(): Server {
  const a = server()
  a.lead()
  for (const id of ['b', 'c']) a.receive(accepted({ from: id, term: 2, index: 2 }))
  a.propose('x')
  return a
}

describe('§5.3 log replication: the leader', () => {
  test('appends a command to its log and sends it to every other server at once', () => {
    const a = server()
    a.lead()
    a.receive(
      accepted({ from: 'b', term: 2, index: 2 }),
      accepted({ from: 'c', term: 2, index: 2 }),
    )
    a.takeLeft()
    expect(a.propose('x')).toEqual({ accepted: 1, first: { term: 2, index: 3 }, why: null })
    const sent = only(a.takeLeft(), 'append-entries')
    expect(sent.map((message) => message.to)).toEqual(['b', 'c'])
    for (const message of sent)
      expect(message).toMatchObject({
        prevLog: { term: 2, index: 2 },
        entries: [command(3, 2, 'x')],
        commitIndex: 2,
      })
  })

  test.each([
    [1, [], true],
    [2, [], false],
    [2, ['b'], true],
    [3, [], false],
    [3, ['b'], true],
    [3, ['b', 'c'], true],
    [5, ['b'], false],
    [5, ['b', 'c'], true],
    [5, ['b', 'c', 'd', 'e'], true],
  ] as const)(
    'of %i servers, acknowledged by itself and %j: committed is %s',
    (size, acks, committed) => {
      const members = ['a', 'b', 'c', 'd', 'e'].slice(0, size)
      const a = server({ members: voters(...members) })
      a.lead()
      for (const id of members.slice(1)) a.receive(accepted({ from: id, term: 2, index: 2 }))
      a.propose('x')
      for (const id of acks) a.receive(accepted({ from: id, term: 2, index: 3 }))
      expect(a.raft.commitIndex).toBe(committed ? 3 : 2)
      expect(a.state).toEqual(committed ? ['x'] : [])
    },
  )

  test('committing an entry commits all that precede it, of earlier terms too', () => {
    const a = server({ terms: [1, 2, 2] })
    a.lead()
    expect(a.raft.commitIndex).toBe(1)
    a.receive(accepted({ from: 'b', term: 3, index: 5 }))
    expect(a.raft.commitIndex).toBe(5)
    expect(a.state).toEqual(['1/2', '2/3', '2/4'])
  })

  test('counts itself only once its own copy is durable', () => {
    const a = server()
    a.lead()
    a.slowDisk = true
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    a.propose('x')
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    expect(a.raft.commitIndex).toBe(2)
    a.persist()
    expect(a.raft.commitIndex).toBe(3)
  })

  test('commits without its own disk if a majority of the others has the entry, and applies only after', () => {
    const a = server()
    a.lead()
    a.slowDisk = true
    a.propose('x')
    a.receive(
      accepted({ from: 'b', term: 2, index: 3 }),
      accepted({ from: 'c', term: 2, index: 3 }),
    )
    expect(a.raft.commitIndex).toBe(3)
    expect(a.state).toEqual([])
    a.persist()
    expect(a.state).toEqual(['x'])
  })

  test('a follower that is slow or gone does not hold up the others', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.crash('c')
    cluster.propose('a', 'x', 'y')
    cluster.stabilize()
    expect(cluster.at('a').state).toEqual(['x', 'y'])
    cluster.tick(1)
    expect(cluster.at('b').state).toEqual(['x', 'y'])
  })

  test('tells followers what is committed, and they find out even if the first word is lost', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.propose('a', 'x')
    cluster.deliver(ofType('append-entries'))
    cluster.deliver(ofType('append-entries-reply'))
    expect(cluster.at('a').state).toEqual(['x'])
    expect(cluster.drop(ofType('commit'))).toBe(2)
    cluster.stabilize()
    expect(cluster.at('b').state).toEqual([])
    cluster.tick(1)
    expect(cluster.at('b').state).toEqual(['x'])
    expect(cluster.at('c').state).toEqual(['x'])
  })

  test('says what is committed once to each follower, and no more', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.propose('a', 'x')
    cluster.deliver()
    cluster.deliver()
    expect(cluster.network).toMatchObject([
      { type: 'commit', to: 'b', commitIndex: 3 },
      { type: 'commit', to: 'c', commitIndex: 3 },
    ])
    cluster.stabilize()
    cluster.at('a').input(() => {})
    cluster.collect()
    expect(cluster.network).toEqual([])
  })

  test('says what is committed in a turn of its own, after those who wait for it are answered', () => {
    const { raft } = leaderWithOneEntryOnItsWay()
    raft.step(accepted({ from: 'b', term: 2, index: 3 }))
    expect(raft.effects()).toMatchObject({ messages: [], more: true })
    expect(raft.committedEntries(3, Infinity)).toHaveLength(1)
    expect(raft.effects()).toMatchObject({
      messages: [{ type: 'commit', to: 'b', commitIndex: 3 }],
      more: false,
    })
  })

  test('or with entries that came in the meantime, and then in no other way', () => {
    const { raft } = leaderWithOneEntryOnItsWay()
    raft.step(accepted({ from: 'b', term: 2, index: 3 }))
    expect(raft.effects().more).toBe(true)
    raft.propose([text('y')])
    const { messages, more } = raft.effects()
    expect(messages).toMatchObject([
      { type: 'append-entries', to: 'b', commitIndex: 3 },
      { type: 'append-entries', to: 'c', commitIndex: 3 },
    ])
    expect(more).toBe(false)
  })

  test('tells a follower no more than what that follower holds', () => {
    const { raft } = leaderWithOneEntryOnItsWay()
    raft.step(accepted({ from: 'b', term: 2, index: 3 }))
    raft.effects()
    expect(raft.effects().messages).toMatchObject([{ type: 'commit', to: 'b' }])
    raft.step(accepted({ from: 'c', term: 2, index: 3 }))
    expect(raft.effects().messages).toMatchObject([{ type: 'commit', to: 'c', commitIndex: 3 }])
  })

  test('retries without end until every follower stores every entry', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.isolate('c')
    cluster.propose('a', 'x')
    cluster.tick(9)
    cluster.heal()
    cluster.tick(2)
    expect(cluster.at('c').state).toEqual(['x'])
  })

  test('never overwrites or deletes entries in its own log, whatever arrives in its term', () => {
    const a = server({ terms: [1, 1] })
    a.lead()
    expect(a.terms).toEqual([1, 1, 1, 2])
    a.receive(
      appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2, 2) }),
      heartbeat({ from: 'c', term: 2, commit: 1 }),
    )
    expect(a.terms).toEqual([1, 1, 1, 2])
    expect(a.raft.role).toBe('leader')
  })

  test('goes back from a refusal to where the logs may agree, one term per question', () => {
    const a = server({ terms: [2, 2, 2, 5, 5] })
    a.lead()
    const way = { from: 'b', term: 6 }
    const [probe] = only(a.receive(refused({ ...way, index: 6, hint: [4, 5] })), 'append-entries')
    // Everything of term 5 is skipped at once: the follower has none of it.
    expect(probe).toMatchObject({ to: 'b', prevLog: { term: 2, index: 4 } })
  })
})

describe('§5.3 log replication: the follower', () => {
  test.each<[At, boolean]>([
    [[0, 0], true],
    [[1, 1], true],
    [[2, 3], true],
    [[1, 3], false],
    [[3, 3], false],
    [[2, 4], false],
  ])('an append after %j is taken: %s', (prev, taken) => {
    const a = server({ term: 4, terms: [1, 2] })
    const [reply] = a.receive(appendEntries({ from: 'b', term: 4, prev }))
    expect(reply).toMatchObject({ accepted: taken, index: taken ? Math.max(1, prev[1]) : prev[1] })
  })

  test.each<[At, readonly Term[], readonly Term[]]>([
    // The log here is 1 1 2 (the first entry is the membership).
    [[2, 3], [3], [1, 1, 2, 3]],
    [
      [1, 1],
      [3, 4],
      [1, 3, 4],
    ],
    [[1, 1], [1], [1, 1, 2]],
    [
      [1, 2],
      [2, 2],
      [1, 1, 2, 2],
    ],
    [
      [0, 0],
      [1, 3],
      [1, 3],
    ],
    [[1, 2], [3], [1, 1, 3]],
  ])('after %j, entries of terms %j make the log %j', (prev, terms, log) => {
    const a = server({ term: 4, terms: [1, 2] })
    const entries = commands(prev[1] + 1, ...terms)
    const [reply] = a.receive(appendEntries({ from: 'b', term: 4, prev, entries }))
    expect(reply).toMatchObject({ accepted: true, index: prev[1] + terms.length })
    expect(a.terms).toEqual(log)
    expect(a.disk.entries.map((entry) => entry.term)).toEqual(log)
  })

  test.each([
    [1, 3, 1],
    [3, 3, 3],
    [4, 3, 3],
    [9, 4, 4],
  ])(
    "commits the lesser of the leader's %i and its last new entry %i",
    (commit, last, expected) => {
      const a = server({ term: 2, terms: [2, 2] })
      const entries = last === 4 ? commands(4, 2) : []
      a.receive(appendEntries({ from: 'b', term: 2, prev: [2, 3], entries, commit }))
      expect(a.raft.commitIndex).toBe(expected)
    },
  )

  test('applies what is committed in the order of the log, each entry once', () => {
    const a = server({ term: 2 })
    a.receive(
      appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2, 2), commit: 2 }),
    )
    a.receive(
      appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2, 2), commit: 3 }),
    )
    expect(a.state).toEqual(['2/2', '2/3'])
  })

  test('acknowledges only what is durable', () => {
    const a = server({ term: 2 }, { slowDisk: true })
    const append = appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2) })
    expect(a.receive(append)).toEqual([])
    expect(a.persist()).toMatchObject([{ type: 'append-entries-reply', accepted: true, index: 2 }])
  })

  test('what is committed is applied only once it is durable here', () => {
    const a = server({ term: 2 }, { slowDisk: true })
    a.receive(
      appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2), commit: 2 }),
    )
    expect(a.raft.commitIndex).toBe(2)
    expect(a.state).toEqual([])
    a.persist()
    expect(a.state).toEqual(['2/2'])
  })

  test('one write and one answer serve all appends that arrive while another write is under way', () => {
    const a = server({ term: 2 }, { slowDisk: true })
    const append = (index: number) =>
      appendEntries({
        from: 'b',
        term: 2,
        prev: [index === 2 ? 1 : 2, index - 1],
        entries: commands(index, 2),
      })
    a.receive(append(2))
    a.receive(append(3), append(4), append(5))
    expect(a.persist()).toMatchObject([{ index: 2 }])
    expect(a.writing?.entries.map((entry) => entry.index)).toEqual([3, 4, 5])
    expect(a.persist()).toMatchObject([{ index: 5 }])
  })
})

describe('Figure 7', () => {
  const leader: readonly Term[] = [1, 1, 4, 4, 5, 5, 6, 6, 6]
  const followers: Record<NodeId, readonly Term[]> = {
    a: [1, 1, 4, 4, 5, 5, 6, 6],
    b: [1, 1, 4],
    c: [1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    d: [1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    e: [1, 1, 4, 4, 4, 4],
    f: [1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  }
  const ids = ['s', ...Object.keys(followers)]

  function start(): Cluster {
    return new Cluster(ids, (id) => ({
      disk: diskWith({ term: 7, terms: followers[id] ?? leader, members: voters(...ids) }),
    }))
  }

  test('all six kinds of followers come to hold the log of the leader of term 8', () => {
    const cluster = start()
    cluster.elect('s')
    for (const id of ids) {
      expect([id, cluster.at(id).terms]).toEqual([id, [1, ...leader, 8]])
      expect(cluster.at(id).disk.entries.map((entry) => entry.term)).toEqual([1, ...leader, 8])
      expect(cluster.at(id).raft.commitIndex).toBe(11)
    }
    expect(cluster.at('s').state).toEqual(cluster.at('f').state)
  })

  test('those with longer logs of later terms do not vote for it', () => {
    const cluster = start()
    cluster.elect('s')
    const refusals = ids.filter((id) =>
      cluster.at(id).events.some(({ type }) => type === 'vote-refused'),
    )
    expect(refusals).toEqual(['c', 'd'])
  })

  test.each(Object.keys(followers))('%s is found out with a single refusal at most', (id) => {
    expect(refusalsOf(id)).toBe(id === 'c' || id === 'd' ? 0 : 1)
  })

  function refusalsOf(id: NodeId): number {
    const cluster = start()
    let refusals = 0
    const { term } = cluster.at('s').raft
    cluster.at('s').input((raft) => raft.step({ type: 'timeout-now', from: '?', to: 's', term }))
    for (let round = 0; round < 20; round++) {
      cluster.collect()
      refusals += cluster.network.filter(
        (message) =>
          from(id)(message) && message.type === 'append-entries-reply' && !message.accepted,
      ).length
      cluster.deliver()
    }
    expect(cluster.network).toEqual([])
    return refusals
  }
})

describe('log matching', () => {
  test('a follower cut off with entries nobody else has replaces them when it is back', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.isolate('a')
    cluster.propose('a', 'lost 1', 'lost 2')
    cluster.collect()
    cluster.elect('b')
    cluster.propose('b', 'kept')
    cluster.stabilize()
    cluster.heal()
    cluster.tick(2)
    expect(cluster.at('a').state).toEqual(['kept'])
    expect(cluster.at('a').terms).toEqual(cluster.at('b').terms)
    expect(cluster.deliver(to('a'))).toBe(0)
  })
})
