/** A transport whose traffic is counted, peer by peer. */
import type { Message, NodeId, OpenSnapshot, Transport } from '@coracle/raft-core'

export interface PeerTraffic {
  readonly sentBytes: Map<NodeId, number>
  readonly receivedBytes: Map<NodeId, number>
  /** Times that messages to a peer were being lost. */
  readonly failures: Map<NodeId, number>
  /** From a heartbeat to its answer, in seconds. */
  roundTrip(peer: NodeId, seconds: number): void
}

/** What a message takes beside its entries and commands, about. */
const MESSAGE_BYTES = 48

export function measuredTransport(
  transport: Transport,
  traffic: PeerTraffic,
  now: () => number,
): Transport {
  /** When a heartbeat went out to a peer that has not answered one since. */
  const asked = new Map<NodeId, number>()
  return {
    start: (handlers) =>
      transport.start({
        onMessage(message) {
          add(traffic.receivedBytes, message.from, bytesOf(message))
          if (message.type === 'heartbeat-reply') answered(message.from)
          handlers.onMessage(message)
        },
        onSnapshot: (message, open) =>
          handlers.onSnapshot(message, counted(open, traffic.receivedBytes, message.from)),
        onUnreachable(peer) {
          add(traffic.failures, peer, 1)
          handlers.onUnreachable(peer)
        },
      }),
    setPeers: (peers) => transport.setPeers(peers),
    send(message) {
      add(traffic.sentBytes, message.to, bytesOf(message))
      if (message.type === 'heartbeat' && !asked.has(message.to)) asked.set(message.to, now())
      transport.send(message)
    },
    sendSnapshot: (message, open, options) =>
      transport.sendSnapshot(message, counted(open, traffic.sentBytes, message.to), options),
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  }

  function answered(peer: NodeId): void {
    const since = asked.get(peer)
    if (since === undefined) return
    asked.delete(peer)
    traffic.roundTrip(peer, (now() - since) / 1_000)
  }
}

function bytesOf(message: Message): number {
  let bytes = MESSAGE_BYTES
  if (message.type === 'append-entries')
    for (const { data } of message.entries) bytes += data.length
  else if (message.type === 'propose')
    for (const command of message.commands) bytes += command.length
  return bytes
}

function counted(open: OpenSnapshot, counts: Map<NodeId, number>, peer: NodeId): OpenSnapshot {
  return async (held) => {
    const { offset, chunks } = await open(held)
    return { offset, chunks: countedChunks(chunks, counts, peer) }
  }
}

async function* countedChunks(
  chunks: AsyncIterable<Uint8Array>,
  counts: Map<NodeId, number>,
  peer: NodeId,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    add(counts, peer, chunk.length)
    yield chunk
  }
}

function add(counts: Map<NodeId, number>, peer: NodeId, amount: number): void {
  counts.set(peer, (counts.get(peer) ?? 0) + amount)
}
