// Package manifests checks the deployment's files.
package manifests

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	deploy = ".."
	root   = "../../../.."
)

// objects are what kustomize makes of the folder, each decoded strictly as its kind: a field that its API has not is an error.
type objects map[string]runtime.Object // by Kind/name

func build(t *testing.T) objects {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), deploy)
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		core.AddToScheme, apps.AddToScheme, autoscaling.AddToScheme, disruption.AddToScheme, networking.AddToScheme, monitoring.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	all := objects{}
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		name := r.GetKind() + "/" + r.GetName()
		o, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.GetNamespace() != "shop" && r.GetKind() != "Namespace" {
			t.Errorf("%s is in namespace %q", name, r.GetNamespace())
		}
		all[name] = o
	}
	return all
}

func get[T runtime.Object](t *testing.T, all objects, name string) T {
	t.Helper()
	o, ok := all[name].(T)
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	return o
}

func TestKubernetes(t *testing.T) {
	all := build(t)
	chatbot := get[*apps.Deployment](t, all, "Deployment/chatbot")
	pod := chatbot.Spec.Template.Spec
	container := pod.Containers[0]
	ports := map[string]int32{}
	for _, p := range container.Ports {
		ports[p.Name] = p.ContainerPort
	}

	env := map[string]string{}
	for _, e := range container.Env {
		env[e.Name] = e.Value
	}
	stop := duration(t, env["POLICY__SERVER__GRACE"]) + duration(t, env["POLICY__SERVER__DRAIN"])
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace <= stop {
		t.Errorf("an instance is killed after %v, while it may take %v to leave", grace, stop)
	}
	if !*pod.SecurityContext.RunAsNonRoot || !*container.SecurityContext.ReadOnlyRootFilesystem ||
		*container.SecurityContext.AllowPrivilegeEscalation || !slices.Contains(container.SecurityContext.Capabilities.Drop, "ALL") {
		t.Error("the container may do more than it needs")
	}
	shop := read(t, root+"/policies/chatbot.toml")
	for name, probe := range map[string]*core.Probe{
		"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe,
	} {
		if ports[probe.HTTPGet.Port.StrVal] == 0 || !strings.Contains(shop, `path = "`+probe.HTTPGet.Path+`"`) {
			t.Errorf("%s probe: nothing answers %s at %s", name, probe.HTTPGet.Path, probe.HTTPGet.Port.StrVal)
		}
	}

	config := get[*core.ConfigMap](t, all, "ConfigMap/"+pod.Volumes[0].ConfigMap.Name)
	if config.Data["chatbot.toml"] != shop || !strings.HasPrefix(config.Name, "chatbot-policy-") {
		t.Errorf("the ConfigMap %s is not the shop's policy", config.Name)
	}
	redis := get[*apps.Deployment](t, all, "Deployment/redis")
	if config := get[*core.ConfigMap](t, all, "ConfigMap/"+redis.Spec.Template.Spec.Volumes[0].ConfigMap.Name); config.Data["redis.conf"] !=
		read(t, deploy+"/redis.conf") {
		t.Error("the ConfigMap of Redis is not redis.conf")
	}

	pods := labels.Set(chatbot.Spec.Template.Labels)
	hpa := get[*autoscaling.HorizontalPodAutoscaler](t, all, "HorizontalPodAutoscaler/chatbot")
	if hpa.Spec.ScaleTargetRef.Name != chatbot.Name || *hpa.Spec.MinReplicas < 2 || chatbot.Spec.Replicas != nil ||
		!strings.Contains(read(t, root+"/framework/telemetry/names.go"), `"`+hpa.Spec.Metrics[0].Pods.Metric.Name+`"`) {
		t.Error("the autoscaler does not scale the shop by a metric that it has")
	}
	for name, selector := range map[string]map[string]string{
		"service":           get[*core.Service](t, all, "Service/chatbot").Spec.Selector,
		"admin service":     get[*core.Service](t, all, "Service/chatbot-admin").Spec.Selector,
		"disruption budget": get[*disruption.PodDisruptionBudget](t, all, "PodDisruptionBudget/chatbot").Spec.Selector.MatchLabels,
		"network policy":    get[*networking.NetworkPolicy](t, all, "NetworkPolicy/chatbot").Spec.PodSelector.MatchLabels,
		"deployment":        chatbot.Spec.Selector.MatchLabels,
	} {
		if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(pods) {
			t.Errorf("the %s selects other pods: %v", name, selector)
		}
	}
	for _, service := range []string{"chatbot", "chatbot-admin"} {
		for _, p := range get[*core.Service](t, all, "Service/"+service).Spec.Ports {
			if p.TargetPort.Type != intstr.String || ports[p.TargetPort.StrVal] == 0 {
				t.Errorf("service %s leads to port %s", service, p.TargetPort.String())
			}
		}
	}
	monitor := get[*monitoring.ServiceMonitor](t, all, "ServiceMonitor/chatbot")
	service := get[*core.Service](t, all, "Service/chatbot-admin")
	if !labels.SelectorFromSet(monitor.Spec.Selector.MatchLabels).Matches(labels.Set(service.Labels)) ||
		monitor.Spec.Endpoints[0].Port != service.Spec.Ports[0].Name || monitor.Spec.Endpoints[0].Path != "/metrics" {
		t.Error("the ServiceMonitor finds no metrics")
	}
	backend := get[*networking.Ingress](t, all, "Ingress/chatbot").Spec.Rules[0].HTTP.Paths[0].Backend.Service
	if p := get[*core.Service](t, all, "Service/"+backend.Name).Spec.Ports[0]; p.Name != backend.Port.Name {
		t.Error("the ingress leads nowhere")
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCompose(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{deploy + "/compose.yaml"}, cli.WithEnv([]string{"ADMIN_TOKEN=token"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"chatbot-1", "chatbot-2", "nginx", "redis"} {
		s := project.Services[name]
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may do more than it needs", name)
		}
	}
	if len(project.Services) != 5 {
		t.Errorf("services: %v", project.ServiceNames())
	}
	for _, s := range project.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", s.Name, err)
				}
			}
		}
		if s.Build != nil {
			if _, err := os.Stat(s.Build.Context + "/" + s.Build.Dockerfile); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	}
	if _, err := (&cli.ProjectOptions{ConfigPaths: options.ConfigPaths}).LoadProject(context.Background()); err == nil {
		t.Error("the services start without an admin token")
	}
}

func TestDockerfile(t *testing.T) {
	lint := linter.New(&linter.Config{Warn: func(rule, description, url, message string, at []parser.Range) {
		t.Errorf("%s: %s (%s) %v", rule, message, description, at)
	}})
	file, err := parser.Parse(strings.NewReader(read(t, deploy+"/Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	stages, _, err := instructions.Parse(file.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	final := stages[len(stages)-1]
	if !strings.Contains(final.BaseName, "distroless/static") {
		t.Errorf("the image is made from %s", final.BaseName)
	}
	seen := map[string]string{}
	for _, c := range final.Commands {
		seen[c.Name()] += strings.TrimPrefix(commandText(c), c.Name()) + "\n"
		if copied, ok := c.(*instructions.CopyCommand); ok && copied.From == "" {
			for _, source := range copied.SourcePaths {
				if _, err := os.Stat(root + "/" + source); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if seen["USER"] == "" || seen["HEALTHCHECK"] == "" || !strings.Contains(seen["HEALTHCHECK"], "healthcheck") || seen["ENTRYPOINT"] == "" {
		t.Errorf("the image says %v", seen)
	}
}

func commandText(c instructions.Command) string {
	if s, ok := c.(interface{ String() string }); ok {
		return s.String()
	}
	return ""
}
