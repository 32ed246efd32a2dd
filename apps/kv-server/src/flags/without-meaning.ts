/**
 * Flags of etcd that members take and do not need, so that a command line for etcd starts them
 * unchanged; and those that must not be passed over, because the member would do something else.
 */

export interface Foreign {
  /** Whether it may stand alone. */
  readonly isSwitch: boolean
  readonly why: string
}

export interface Refused extends Foreign {
  /** Values that ask for nothing, beside the empty one. */
  readonly harmless: readonly string[]
}

const LEVELDB = 'the storage is a log-structured one, and groups writes by itself'
const ONE_DIRECTORY = 'log and snapshots are kept in the data directory, and trimmed by themselves'
const COMPACTION = 'a compaction is applied as a whole, in memory'
const ALWAYS_COMPARED = 'compare members with --corrupt-check-time'
const LEASES = 'every member keeps the time of leases, and they survive a change of leader'
const PEER_IO = 'connections of members have keepalives of their own'
const NO_TRACING = 'traces are not exported; see /metrics'
const NO_SLOW_LOG = 'how long applying takes is measured at /metrics, and not logged'
const ONE_VERSION = 'there is one version of the data'
const NO_V2 = 'there is no v2 API here'
const LOG_ROTATION = 'leave the rotation of files to logrotate and the like'
const GATEWAY_INSIDE = 'the JSON gateway asks within the process, not over TLS'

export const WITHOUT_MEANING: Readonly<Record<string, Foreign>> = {
  'wal-dir': value(ONE_DIRECTORY),
  'max-wals': value(ONE_DIRECTORY),
  'max-snapshots': value(ONE_DIRECTORY),
  'backend-batch-interval': value(LEVELDB),
  'backend-batch-limit': value(LEVELDB),
  'backend-bbolt-freelist-type': value(LEVELDB),
  'bootstrap-defrag-threshold-megabytes': value(LEVELDB),
  'memory-mlock': alone(LEVELDB),
  'compaction-batch-limit': value(COMPACTION),
  'compaction-sleep-interval': value(COMPACTION),
  'compact-hash-check-enabled': alone(ALWAYS_COMPARED),
  'compact-hash-check-time': value(ALWAYS_COMPARED),
  'initial-election-tick-advance': alone(
    'a member that starts waits for an election timeout at most',
  ),
  'wait-cluster-ready-timeout': value('members serve clients when there is a leader'),
  'raft-read-timeout': value(PEER_IO),
  'raft-write-timeout': value(PEER_IO),
  'set-member-localaddr': alone('members call from whatever address the system chooses'),
  'socket-reuse-address': alone('it is always on'),
  'socket-reuse-port': alone('Node cannot share a port before version 23'),
  'client-cert-file': value(GATEWAY_INSIDE),
  'client-key-file': value(GATEWAY_INSIDE),
  'enable-pprof': alone('profile with the tools of Node instead'),
  'enable-distributed-tracing': alone(NO_TRACING),
  'distributed-tracing-address': value(NO_TRACING),
  'distributed-tracing-service-name': value(NO_TRACING),
  'distributed-tracing-instance-id': value(NO_TRACING),
  'distributed-tracing-sampling-rate': value(NO_TRACING),
  'warning-apply-duration': value(NO_SLOW_LOG),
  'warning-unary-request-duration': value(NO_SLOW_LOG),
  'downgrade-check-time': value(ONE_VERSION),
  'next-cluster-version-compatible': alone(ONE_VERSION),
  'enable-lease-checkpoint': alone(LEASES),
  'enable-lease-checkpoint-persist': alone(LEASES),
  'txn-mode-write-with-shared-buffer': alone(LEVELDB),
  'stop-grpc-service-on-defrag': alone('defragmentation does not stop the service'),
  logger: value('there is one logger'),
  'log-package-levels': value('there is one level, --log-level'),
  'enable-log-rotation': alone(LOG_ROTATION),
  'log-rotation-config-json': value(LOG_ROTATION),
  'enable-v2': alone(NO_V2),
  'enable-v2v3': value(NO_V2),
  'v2-deprecation': value(NO_V2),
  'proxy-failure-wait': value(NO_V2),
  'proxy-refresh-interval': value(NO_V2),
  'proxy-dial-timeout': value(NO_V2),
  'proxy-write-timeout': value(NO_V2),
  'proxy-read-timeout': value(NO_V2),
  'discovery-fallback': value(NO_V2),
  'discovery-proxy': value(NO_V2),
}

/** Passing over these would found another cluster, or none where one is wanted. */
export const REFUSED: Readonly<Record<string, Refused>> = {
  discovery: {
    ...value('discovery.etcd.io has ended; use --discovery-token and --discovery-endpoints'),
    harmless: [],
  },
  proxy: { ...value(NO_V2), harmless: ['off'] },
}

function value(why: string): Foreign {
  return { isSwitch: false, why }
}

function alone(why: string): Foreign {
  return { isSwitch: true, why }
}
