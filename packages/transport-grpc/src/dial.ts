/** Opening a channel to a peer. */
import { formatAddress, placeToCall } from '@coracle/raft-core/transport'
import { type ChannelOptions, Client, credentials, type ChannelCredentials } from '@grpc/grpc-js'
import { createSecureContext } from 'node:tls'
import type { Resolved, TlsMaterial } from './options.ts'

/** Throws if there is no such address. Each client has a connection of its own. */
export function openClient(options: Resolved, address: string): Client {
  const place = placeToCall(address, options)
  return new Client(
    'path' in place ? `unix:${place.path}` : `dns:${formatAddress(place.host, place.port)}`,
    credentialsOf(place.secure ? options.tls : null),
    channelOptions(options),
  )
}

/** What both ends share. */
export function sharedOptions(options: Resolved): ChannelOptions {
  return {
    'grpc.keepalive_time_ms': options.keepaliveMs,
    'grpc.keepalive_timeout_ms': options.keepaliveMs * 3,
    'grpc.max_receive_message_length': options.maxMessageBytes,
    'grpc.max_send_message_length': options.maxMessageBytes,
    'grpc.enable_channelz': 0,
  }
}

function channelOptions(options: Resolved): ChannelOptions {
  const { tls } = options
  return {
    ...sharedOptions(options),
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.initial_reconnect_backoff_ms': options.minReconnectMs,
    'grpc.max_reconnect_backoff_ms': options.maxReconnectMs,
    // Without these, a snapshot would share its connection with the messages, a stream would keep
    // a copy of what it sent, and a proxy meant for the web would stand between the nodes.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    ...(tls?.servername === undefined ? {} : { 'grpc.ssl_target_name_override': tls.servername }),
  }
}

function credentialsOf(tls: TlsMaterial | null): ChannelCredentials {
  if (tls === null) return credentials.createInsecure()
  const { checkServerIdentity, rejectUnauthorized } = tls
  return credentials.createFromSecureContext(createSecureContext({ ...tls, ...tls.whenCalling }), {
    ...(checkServerIdentity === undefined ? {} : { checkServerIdentity }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  })
}
