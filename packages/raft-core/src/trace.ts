import type { MessageType } from './messages.ts'
import type { LogIndex, Membership, NodeId, Position, Term } from './types.ts'

/** A follower, a candidate asking around first, a candidate, a leader (Fig. 4; thesis 9.6). */
export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader'

interface Event<Type extends string> {
  readonly type: Type
  readonly node: NodeId
  /** The node's term after the event. */
  readonly term: Term
}

/**
 * Everything worth knowing that happens to a node, in the order it happens. Logs, metrics,
 * timelines and checks against a specification are all made of these.
 */
export type RaftEvent =
  | (Event<'election-started'> & { readonly preVote: boolean })
  | (Event<'vote-granted'> & { readonly candidate: NodeId; readonly preVote: boolean })
  | (Event<'vote-refused'> & {
      readonly candidate: NodeId
      readonly preVote: boolean
      readonly why: string
    })
  | (Event<'role-changed'> & { readonly role: Role; readonly leader: NodeId | null })
  /** It stood still for an election timeout: its disk hands over, its process asks a majority first. */
  | (Event<'leader-stalled'> & { readonly why: 'disk' | 'process' })
  | (Event<'entries-appended'> & { readonly from: LogIndex; readonly last: Position })
  | (Event<'entries-truncated'> & { readonly from: LogIndex })
  | (Event<'entries-committed'> & { readonly index: LogIndex })
  | (Event<'entries-applied'> & { readonly index: LogIndex })
  | (Event<'message-sent'> & { readonly to: NodeId; readonly message: MessageType })
  | (Event<'message-received'> & { readonly from: NodeId; readonly message: MessageType })
  | (Event<'message-ignored'> & {
      readonly from: NodeId
      readonly message: MessageType
      readonly why: string
    })
  | (Event<'membership-changed'> & { readonly membership: Membership })
  | (Event<'snapshot-taken'> & { readonly position: Position })
  | (Event<'snapshot-installed'> & { readonly position: Position })
  /** The cluster goes on without this node, as the membership at `index` says. */
  | (Event<'node-removed'> & { readonly index: LogIndex })
  | (Event<'node-failed'> & { readonly cause: unknown })

/** Called synchronously with every event; must not throw. Costs nothing where it is not given. */
export type Trace = (event: RaftEvent) => void
