// The SMTP submission server on Azure Container Apps, with TCP ingress (docs/how-to/smtp-submission.md).
param token string
param location string
param tags object
param relayUrl string
param image string
@description('The registry of a private image, such as name.azurecr.io; the identity of the server needs AcrPull there.')
param registry string
param hostname string
@description('The secret in the vault that holds the certificate with its key. A certificate of the vault has one of its name.')
param certificateSecret string
param vaultName string
@description('True: reachable from the internet. False: from the virtual network and the networks connected to it.')
param isExternal bool
@minValue(1)
param minReplicas int
@minValue(1)
param maxReplicas int
param subnetId string
param workspaceId string

var roles = loadJsonContent('roles.json')
// The ingress hides the addresses of clients, so that all of them share one: see --max-per-address.
var connections = 1000

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource certificate 'Microsoft.KeyVault/vaults/secrets@2024-11-01' existing = {
  parent: vault
  name: certificateSecret
}

module identity 'br/public:avm/res/managed-identity/user-assigned-identity:0.6.0' = {
  name: 'smtp-identity'
  params: {
    name: 'id-smtp-${token}'
    location: location
    tags: tags
  }
}

// The server reads its certificate, and no other secret.
resource certificateReader 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(certificate.id, 'id-smtp-${token}', roles.secretsUser)
  scope: certificate
  properties: {
    principalId: identity.outputs.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.secretsUser)
  }
}

// TCP ingress from outside the environment needs a virtual network (learn.microsoft.com/azure/container-apps/ingress-overview).
resource environment 'Microsoft.App/managedEnvironments@2024-03-01' = {
  name: 'cae-smtp-${token}'
  location: location
  tags: tags
  properties: {
    appLogsConfiguration: {
      destination: 'azure-monitor'
    }
    vnetConfiguration: {
      infrastructureSubnetId: subnetId
      internal: !isExternal
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
  }
}

// Logs by a diagnostic setting need no key of the workspace.
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: environment
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

resource server 'Microsoft.App/containerApps@2024-03-01' = {
  name: 'ca-smtp-${token}'
  location: location
  tags: tags
  dependsOn: [certificateReader]
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.outputs.resourceId}': {}
    }
  }
  properties: {
    environmentId: environment.id
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      registries: empty(registry)
        ? []
        : [
            {
              server: registry
              identity: identity.outputs.resourceId
            }
          ]
      ingress: {
        // Within the environment's network; whether that is public is decided by the environment.
        external: true
        transport: 'tcp'
        targetPort: 2587
        exposedPort: 587
        additionalPortMappings: [
          {
            external: true
            targetPort: 2465
            exposedPort: 465
          }
        ]
      }
    }
    template: {
      terminationGracePeriodSeconds: 30
      containers: [
        {
          name: 'smtp'
          image: image
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          env: [
            {
              name: 'RELAY_URL'
              value: relayUrl
            }
            {
              name: 'RELAY_SMTP_CERTIFICATE'
              value: 'vault:${certificateSecret}'
            }
            {
              name: 'RELAY_KEY_VAULT_URL'
              value: vault.properties.vaultUri
            }
            {
              name: 'AZURE_CLIENT_ID'
              value: identity.outputs.clientId
            }
            {
              name: 'RELAY_SMTP_HOSTNAME'
              value: hostname
            }
            {
              name: 'RELAY_SMTP_MAX_PER_ADDRESS'
              value: string(connections)
            }
            {
              name: 'RELAY_SMTP_MAX_MEMORY'
              value: '268435456'
            }
          ]
          // Container Apps has no exec probes, and a TCP probe of an SMTP port would count as a client.
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/'
                port: 8080
              }
              periodSeconds: 2
              failureThreshold: 30
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/'
                port: 8080
              }
              periodSeconds: 10
              failureThreshold: 3
            }
          ]
        }
      ]
      scale: {
        minReplicas: minReplicas
        maxReplicas: maxReplicas
        rules: [
          {
            name: 'connections'
            tcp: {
              metadata: {
                concurrentConnections: '200'
              }
            }
          }
        ]
      }
    }
  }
}

output address string = isExternal ? server.properties.configuration.ingress.fqdn : environment.properties.staticIp
