/** Flags of who the members are, and how they keep together. */
import { duration, type FlagsFor, onOff, oneOf, text, whole } from './kinds.ts'

export interface ClusterSettings {
  readonly name: string
  readonly 'listen-peer-urls': string
  readonly 'initial-advertise-peer-urls': string
  /** Empty if it was not given: a cluster of this member alone. */
  readonly 'initial-cluster': string
  readonly 'initial-cluster-state': 'new' | 'existing'
  readonly 'initial-cluster-token': string
  /** Empty if it was not given. */
  readonly 'discovery-srv': string
  readonly 'discovery-srv-name': string
  readonly 'force-new-cluster': boolean
  readonly 'strict-reconfig-check': boolean
  readonly 'max-learners': number
  readonly 'initial-corrupt-check': boolean
  /** In milliseconds. */
  readonly 'corrupt-check-time': number
  readonly 'heartbeat-interval': number
  readonly 'election-timeout': number
  readonly 'pre-vote': boolean
  readonly 'peer-transport': 'tcp' | 'grpc'
}

const LOCAL_PEER = 'http://localhost:2380'

export const CLUSTER_FLAGS: FlagsFor<ClusterSettings> = {
  name: text('name', 'default', 'name of this member, as in --initial-cluster'),
  'listen-peer-urls': text('urls', LOCAL_PEER, 'where to listen for other members'),
  'initial-advertise-peer-urls': text('urls', LOCAL_PEER, 'where members reach this one'),
  'initial-cluster': text('name=url,...', '', 'who founds the cluster (default: this member)'),
  'initial-cluster-state': oneOf(
    ['new', 'existing'],
    'new',
    'found a cluster, or join one that runs',
  ),
  'initial-cluster-token': text('token', 'etcd-cluster', 'tells clusters with the same URLs apart'),
  'discovery-srv': text('domain', '', 'find who founds the cluster by the SRV records of a domain'),
  'discovery-srv-name': text('SUFFIX', '', 'those of _etcd-server-SUFFIX._tcp there'),
  'force-new-cluster': onOff(false, 'go on alone after all others were lost for good'),
  'strict-reconfig-check': onOff(true, 'refuse members where too few of them would run'),
  'max-learners': whole('members', 1, [0], 'most members that do not vote'),
  'initial-corrupt-check': onOff(false, 'compare keys with the others before serving'),
  'corrupt-check-time': duration('0s', 'how often members compare their keys (0: never)'),
  'heartbeat-interval': whole('ms', 100, [1, 10_000], 'time between heartbeats'),
  'election-timeout': whole('ms', 1_000, [5, 50_000], 'silence after which members elect a leader'),
  'pre-vote': onOff(true, 'ask before campaigning, so that a member that was away disturbs nobody'),
  'peer-transport': oneOf(['tcp', 'grpc'], 'tcp', 'how members talk; the same at all members'),
}
