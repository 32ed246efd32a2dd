/** The pure protocol, for whoever drives it by himself. */
export { CheckedRaft } from './checked-raft.ts'
export {
  type Effects,
  type FetchWork,
  type MembershipOutcome,
  type PeerStatus,
  type ProposeOutcome,
  type ProtocolMessage,
  Raft,
  type RaftInit,
  type ReadOutcome,
  stateOf,
} from './raft.ts'
