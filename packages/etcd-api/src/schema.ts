/**
 * The .proto files, read once when the module is loaded, and a codec for each message in them.
 *
 * protobufjs writes an encoder and a decoder for a type when it is first used, which is as fast as
 * generated source files and leaves none to keep. Names stay as they are on the wire, because the
 * JSON gateway and the documentation of etcd use them too.
 */
import { readFileSync } from 'node:fs'
import protobuf, { type Method, type Service, type Type } from 'protobufjs'
import { describeFiles, type FileDescriptor } from './descriptors.ts'

const FILES = ['kv', 'auth', 'rpc', 'lock', 'election', 'health', 'reflection']

const root = new protobuf.Root()
for (const file of FILES) {
  const source = readFileSync(new URL(`../proto/${file}.proto`, import.meta.url), 'utf8')
  protobuf.parse(source, root, { keepCase: true })
  // What was once tried out under another name is what older clients still ask for.
  if (file === 'reflection')
    protobuf.parse(source.replace('reflection.v1', '$&alpha'), root, { keepCase: true })
}
root.resolveAll()

/** Turns messages of one type into bytes and back. `decode` throws on bytes that are no such message. */
export interface Codec<Message> {
  encode(message: Message): Uint8Array
  decode(bytes: Uint8Array): Message
}

/** A method as the .proto files declare it. */
export interface MethodSchema {
  /** With its package: `etcdserverpb.KV`. */
  readonly service: string
  readonly method: string
  readonly requestType: string
  readonly responseType: string
  readonly requestStream: boolean
  readonly responseStream: boolean
}

/**
 * The codec of the message with this full name (`etcdserverpb.PutRequest`). What a newer client says
 * beyond the schema is skipped.
 *
 * Fields that are absent from the bytes are missing from the decoded object as own properties and
 * have their zero value through its prototype; members of a oneof that are absent are null.
 */
export function codecOf<Message extends object>(name: string): Codec<Message> {
  const type: Type = root.lookupType(name)
  return {
    encode: (message) => type.encode(message).finish(),
    decode(bytes) {
      // A plain view: the bytes of keys and values are then plain views, too, and no Buffers.
      const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      return type.decode(plain) as unknown as Message
    },
  }
}

/** The message with this full name, for what works by reflection. */
export function messageType(name: string): Type {
  return root.lookupType(name)
}

/** The schema itself, as the descriptors that clients of reflection take: one file per package. */
export function fileDescriptors(): readonly FileDescriptor[] {
  return describeFiles(root)
}

/** Every message of the schema, by its full name. */
export function allMessages(): readonly string[] {
  return messagesIn(root)
}

function messagesIn(namespace: protobuf.NamespaceBase): string[] {
  return namespace.nestedArray.flatMap((nested) => {
    const inside = nested instanceof protobuf.Namespace ? messagesIn(nested) : []
    return nested instanceof protobuf.Type ? [nested.fullName.slice(1), ...inside] : inside
  })
}

/** Every method of every service, in the order of the files. */
export function allMethods(): readonly MethodSchema[] {
  return servicesIn(root).flatMap((service) => service.methodsArray.map((each) => schemaOf(each)))
}

function servicesIn(namespace: protobuf.NamespaceBase): Service[] {
  return namespace.nestedArray.flatMap((nested) => {
    if (nested instanceof protobuf.Service) return [nested]
    return nested instanceof protobuf.Namespace ? servicesIn(nested) : []
  })
}

function schemaOf(method: Method): MethodSchema {
  const { resolvedRequestType: request, resolvedResponseType: response, parent } = method
  if (request === null || response === null || parent === null)
    throw new TypeError(`the types of ${method.name} are not in the schema`)
  return {
    service: parent.fullName.slice(1),
    method: method.name,
    requestType: request.fullName.slice(1),
    responseType: response.fullName.slice(1),
    requestStream: method.requestStream === true,
    responseStream: method.responseStream === true,
  }
}
