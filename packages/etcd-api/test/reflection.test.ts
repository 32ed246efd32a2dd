/** gRPC's reflection, as grpcurl uses it: list, then describe, then call. */
import { Client, credentials } from '@grpc/grpc-js'
import protobuf from 'protobufjs'
import descriptor from 'protobufjs/ext/descriptor.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { allMessages, allMethods, codecOf, fileDescriptors, messageType } from '../src/schema.ts'
import { type Harness, startHarness } from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())

interface Answer {
  readonly list_services_response?: { service: { name: string }[] }
  readonly file_descriptor_response?: { file_descriptor_proto: Uint8Array[] }
  readonly error_response?: { error_code: number }
}

const requests = codecOf<object>('grpc.reflection.v1.ServerReflectionRequest')
const answers = codecOf<Answer>('grpc.reflection.v1.ServerReflectionResponse')

function ask(version: string, request: object): Promise<Answer> {
  const client = new Client(harness.address, credentials.createInsecure())
  const call = client.makeBidiStreamRequest(
    `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    (message: object) => Buffer.from(requests.encode(message)),
    (bytes) => answers.decode(bytes),
  )
  return new Promise((resolve, reject) => {
    let answer: Answer = {}
    call.on('data', (message: Answer) => {
      answer = message
    })
    call.once('error', reject)
    call.once('end', () => {
      client.close()
      resolve(answer)
    })
    call.end(request)
  })
}

describe.each(['v1', 'v1alpha'])('grpc.reflection.%s', (version) => {
  test('lists every service', async () => {
    const answer = await ask(version, { list_services: '' })
    const names = answer.list_services_response?.service.map(({ name }) => name) ?? []
    expect(names).toContain('etcdserverpb.KV')
    expect(names).toContain('grpc.health.v1.Health')
    expect(new Set(names)).toEqual(new Set(allMethods().map(({ service }) => service)))
  })

  test('describes a service well enough to call it', async () => {
    const answer = await ask(version, { file_containing_symbol: 'etcdserverpb.KV' })
    const files = answer.file_descriptor_response?.file_descriptor_proto ?? []
    const root = rootOf(files)
    const service = root.lookupService('etcdserverpb.KV')
    const range = service.methods['Range']
    expect(range).toMatchObject({ requestType: '.etcdserverpb.RangeRequest' })
    const request = root.lookupType('etcdserverpb.RangeRequest').encode({ key: Buffer.from('x') })
    const bytes = await harness.client.bytes('/etcdserverpb.KV/Range', request.finish())
    const response = root.lookupType('etcdserverpb.RangeResponse').decode(bytes)
    expect(response.toJSON()).toMatchObject({ header: { raft_term: '2' } })
  })

  test('finds files by their names, and says what it does not have', async () => {
    const file = await ask(version, { file_by_filename: 'mvccpb.proto' })
    expect(file.file_descriptor_response?.file_descriptor_proto).toHaveLength(1)
    const none = await ask(version, { file_containing_symbol: 'no.such.Name' })
    expect(none.error_response?.error_code).toBe(5)
    const extensions = await ask(version, { all_extension_numbers_of_type: 'x' })
    expect(extensions.error_response?.error_code).toBe(5)
    expect((await ask(version, {})).error_response?.error_code).toBe(3)
  })
})

describe('the descriptors', () => {
  const root = rootOf(fileDescriptors().map(({ bytes }) => bytes))

  test('say of every message what the .proto files say', () => {
    for (const name of allMessages()) {
      const facts = (type: protobuf.Type): unknown =>
        type.fieldsArray.map((field) => {
          const { name: field_name, id, repeated, resolvedType } = field.resolve()
          return [field_name, id, repeated, resolvedType?.name ?? field.type, field.partOf?.name]
        })
      expect(facts(root.lookupType(name))).toEqual(facts(messageType(name)))
    }
    const compare = root.lookupType('etcdserverpb.Compare')
    expect(compare.fields['range_end']?.id).toBe(64)
    expect(compare.oneofs['target_union']?.oneof).toContain('mod_revision')
    const event = root.lookupType('mvccpb.Event')
    expect(event.fields['type']?.resolve().resolvedType?.name).toBe('EventType')
  })

  test('name in each file every file that it needs', () => {
    for (const { bytes, name } of fileDescriptors()) {
      const file = descriptor.FileDescriptorProto.decode(bytes)
      expect(file['syntax']).toBe('proto3')
      for (const dependency of file['dependency'] as string[])
        expect(
          fileDescriptors().map((each) => each.name),
          name,
        ).toContain(dependency)
    }
    const rpc = fileDescriptors().find(({ name }) => name === 'etcdserverpb.proto')
    expect([...(rpc?.dependencies ?? [])].sort()).toEqual(['authpb.proto', 'mvccpb.proto'])
  })
})

function rootOf(files: readonly Uint8Array[]): protobuf.Root {
  const file = files.map((bytes) => descriptor.FileDescriptorProto.decode(bytes))
  const set = descriptor.FileDescriptorSet.create({ file })
  const bytes = descriptor.FileDescriptorSet.encode(set).finish()
  const root = protobuf.Root.fromDescriptor(bytes, { keepCase: true })
  root.resolveAll()
  return root
}
