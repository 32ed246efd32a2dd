/** The parts that a configuration asks for. */
import type { Storage, Transport } from '@coracle/raft-core'
import { levelStorage } from '@coracle/storage-level'
import { type GrpcEvent, grpcTransport } from '@coracle/transport-grpc'
import { type TcpEvent, tcpTransport } from '@coracle/transport-tcp'
import type { ServerConfig } from './config.ts'
import { storageLocation } from './identity.ts'
import type { Log } from './log.ts'

export function storageOf(config: ServerConfig): Storage {
  return levelStorage({ location: storageLocation(config), fsync: config.fsync })
}

export function transportOf(config: ServerConfig, log: Log): Transport {
  const options = {
    id: config.member.nodeId,
    // Members of another cluster may know this address from better days.
    cluster: config.clusterId.toString(16),
    listen: config.listenPeers,
    trace: (event: TcpEvent | GrpcEvent) => logPeerEvent(log, event),
  }
  return config.peerTransport === 'grpc' ? grpcTransport(options) : tcpTransport(options)
}

function logPeerEvent(log: Log, { type, ...fields }: TcpEvent | GrpcEvent): void {
  const message = type.replaceAll('-', ' ')
  if (type === 'peer-connected') log.info(fields, message)
  else log.warn(fields, message)
}
