import type { InstallSnapshot, Message } from '../messages.ts'
import type { NodeId, Peer } from '../types.ts'

/**
 * Carries messages between nodes. Loss is normal and is never an error: Raft sends again.
 *
 * A transport speaks for one node. It delivers what was sent to that node by a member of the same
 * cluster, unchanged or not at all, and keeps the order of what one peer sent. It may drop any
 * message, and it drops rather than let a queue grow without bound.
 *
 * How nodes are addressed, secured, reconnected and batched are a transport's own options.
 * Whoever created a transport disposes it; from then on nothing is delivered and `send` does nothing.
 */
export interface Transport extends AsyncDisposable {
  /**
   * Starts delivering to `handlers`. Called once. Resolves when peers can reach this node; rejects
   * if they never will (the address is taken).
   */
  start(handlers: TransportHandlers): Promise<void>

  /** Who can be reached, and where; this node itself may be among them. Called at every change. */
  setPeers(peers: readonly Peer[]): void

  /** Takes the message and returns at once. Never throws, not even for a peer it does not know. */
  send(message: Message): void

  /**
   * Streams a snapshot to `message.to`, beside the messages, so that it never delays a heartbeat.
   * Calls `open` when the peer's `onSnapshot` calls its own, at most once, and not a byte is sent
   * before. Resolves when the peer's `onSnapshot` has resolved; rejects if it rejected, if `open` or
   * the chunks failed (with their reason), if the way there broke, or if the signal aborted (with its
   * reason). At most one runs per peer.
   */
  sendSnapshot(
    message: InstallSnapshot,
    open: OpenSnapshot,
    options: { readonly signal: AbortSignal },
  ): Promise<void>
}

/** How much of a snapshot its receiver holds already: its first `bytes`, and their CRC-32. */
export interface HeldSnapshot {
  readonly bytes: number
  readonly checksum: number
}

/** The bytes of a snapshot from `offset` on. */
export interface SnapshotRest {
  readonly offset: number
  readonly chunks: AsyncIterable<Uint8Array>
}

/**
 * Begins to stream a snapshot. Both ends have one: the receiver calls its own with what it holds, the
 * transport calls the sender's with the same, and what that answers is what the receiver gets. So a
 * stream that broke can go on where it ended, and nothing is streamed to who does not want it.
 */
export type OpenSnapshot = (held: HeldSnapshot) => Promise<SnapshotRest>

/** What a transport delivers to. None of these throws. */
export interface TransportHandlers {
  onMessage(message: Message): void
  /**
   * A peer has a snapshot to stream. `open`, which may be called once or not at all, resolves with
   * what the peer's `open` answered; its chunks give exactly the bytes that were sent, or fail.
   * Resolving tells the sender that all of the snapshot is kept; rejecting, that it is not.
   */
  onSnapshot(message: InstallSnapshot, open: OpenSnapshot): Promise<void>
  /** Messages to this peer are being lost. A hint, not a promise: it may be late, early or missing. */
  onUnreachable(peer: NodeId): void
}
