/** Members as processes of their own, for the launcher, the demo and the tests. */
export {
  describeExit,
  type Exit,
  type LogLine,
  type MemberProcess,
  type MemberProcessOptions,
  startMember,
  StartError,
} from './member-process.ts'
export {
  addressOf,
  clientUrlOf,
  type ClusterPlan,
  flagsOf,
  type MemberPlan,
  planCluster,
  type Secure,
  type PlanOptions,
} from './plan.ts'
export { freePorts, takenPort } from './ports.ts'
export { agreedLeader, statusOf } from './statuses.ts'
