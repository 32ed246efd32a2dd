import type { NodeId } from '../types.ts'

/** What is worth a line in a log. A failure that lasts is told once, not at every attempt. */
export type TransportEvent =
  | { readonly type: 'peer-connected'; readonly peer: NodeId; readonly address: string }
  | {
      readonly type: 'peer-unreachable'
      readonly peer: NodeId
      readonly address: string
      readonly why: string
    }
  /** Somebody called who is no peer, or broke the rules. */
  | { readonly type: 'connection-refused'; readonly remote: string; readonly why: string }
  /** A message that can never be sent: too large, or against the rules of its type. */
  | { readonly type: 'message-refused'; readonly peer: NodeId; readonly why: string }
