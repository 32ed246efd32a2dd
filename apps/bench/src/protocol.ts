import { bootstrapMembership, type NodeId, ORIGIN, resolveOptions } from '@coracle/raft-core'
import { type ProtocolMessage, Raft } from '@coracle/raft-core/protocol'
import type { Row } from './report.ts'

const COMMAND = new Uint8Array(256)
const ROUNDS = 40_000

/** The bare protocol: messages handed from one to the other by calls, writes done at once. */
export function benchProtocol(progress: (what: string) => void): readonly Row[] {
  return [1, 16, 256].map((batch) => {
    progress(`protocol, batches of ${batch}`)
    run(batch, Math.ceil(ROUNDS / 10 / batch) + 100)
    const rounds = Math.ceil(ROUNDS / Math.sqrt(batch))
    const began = performance.now()
    const steps = run(batch, rounds)
    const elapsed = (performance.now() - began) / 1_000
    return {
      what: `protocol alone, batches of ${batch}: entries committed on three nodes`,
      value: (rounds * batch) / elapsed,
      unit: '/s',
      note: `${Math.round(steps / elapsed).toLocaleString('en')} messages/s`,
    }
  })
}

/** Commits `rounds` batches on three nodes. Answers with the number of messages it took. */
function run(batch: number, rounds: number): number {
  const cluster = new Map(['a', 'b', 'c'].map((id) => [id, start(id)]))
  const leader = cluster.get('a') as Raft
  leader.campaign()
  let steps = settle(cluster)
  const commands = Array.from({ length: batch }, () => COMMAND)
  for (let round = 0; round < rounds; round += 1) {
    leader.propose(commands)
    steps += settle(cluster)
  }
  if (leader.commitIndex !== leader.lastIndex) throw new Error('not everything was committed')
  return steps
}

function start(id: NodeId): Raft {
  const founders = bootstrapMembership(['a', 'b', 'c'].map((each) => ({ id: each, address: '' })))
  return new Raft({
    id,
    options: resolveOptions({ maxWindowBytes: 1 << 20 }),
    stored: {
      hardState: { term: 0, votedFor: null, commitIndex: 0 },
      snapshot: null,
      compacted: ORIGIN,
      lastIndex: 0,
      termRuns: [],
      memberships: [],
    },
    bootstrap: founders,
    appliedIndex: 0,
    random: () => 0,
  })
}

function settle(cluster: ReadonlyMap<NodeId, Raft>): number {
  let steps = 0
  for (let isBusy = true; isBusy;) {
    isBusy = false
    for (const raft of cluster.values()) {
      const { messages, append, more } = raft.effects()
      if (append !== null) raft.appendDone()
      if (raft.applicableIndex > raft.appliedIndex) raft.applied(raft.applicableIndex)
      for (const message of messages) cluster.get(message.to)?.step(message as ProtocolMessage)
      steps += messages.length
      isBusy ||= messages.length > 0 || append !== null || more
    }
  }
  return steps
}
