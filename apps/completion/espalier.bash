# Completion of the program's arguments in bash: source this file, or put it where bash-completion
# looks (share/bash-completion/completions/espalier). It is static: starting the program, which loads
# LibTorch, would take most of a second at each press of the key.
_espalier() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local verbs="search pareto trials describe estimate score compare compare-spaces shrink rank-check predict export list schema report"
  local verb="" i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    if [[ " $verbs " == *" ${COMP_WORDS[i]} "* ]]; then
      verb=${COMP_WORDS[i]}
      break
    fi
  done

  case $before in
    --format)
      COMPREPLY=($(compgen -W "json dot onnx torchscript" -- "$word"))
      return
      ;;
    --net)
      COMPREPLY=($(compgen -W "alexnet vgg11 vgg16 vgg16_bn googlenet inception_v3 resnet18 resnet50 resnext50_32x4d wide_resnet50_2 densenet121 squeezenet1_0 squeezenet1_1 mobilenet_v1 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small mnasnet1_0 efficientnet_b0 ghostnet regnet_x_400mf regnet_y_400mf repvgg_a0 vovnet39 vovnet39_ese shufflenet_v1_x1_0 shufflenet_v2_x1_0 convnext_tiny vit_b_16" -- "$word"))
      return
      ;;
    --space)
      COMPREPLY=($(compgen -W "nasbench201 chain mobilenet_v3 nas_bench_macro nats_bench_size transnas_micro transnas_macro resnet regnet nasbench101 darts nasnet enas hierarchical proxylessnas mnasnet fbnet shufflenet_spos autoformer network custom" -- "$word"))
      return
      ;;
    --predictor)
      COMPREPLY=($(compgen -W "gaussian_process ridge random_forest mlp lstm gcn gates ta_gates xgboost ensemble" -- "$word"))
      return
      ;;
    --proxy)
      COMPREPLY=($(compgen -W "params macs l2_norm plain grad_norm snip grasp fisher jacob_cov synflow log_synflow naswot epe_nas zen entropy ntk linear_regions zico gradsign meco swap az_expressivity az_progressivity az_trainability az_complexity" -- "$word"))
      return
      ;;
    --cost)
      COMPREPLY=($(compgen -W "params macs storage_bytes peak_memory_bytes" -- "$word"))
      return
      ;;
    --normalize)
      COMPREPLY=($(compgen -W "params macs" -- "$word"))
      return
      ;;
    --better)
      COMPREPLY=($(compgen -W "higher lower" -- "$word"))
      return
      ;;
    --hardware)
      COMPREPLY=($(compgen -W "cortex_m7 cortex_a76 avx2_core rk3588_npu" -- "$word")
        $(compgen -f -- "$word"))
      return
      ;;
    --data)
      COMPREPLY=($(compgen -W "fashion_mnist mnist cifar10 cifar100 synthetic" -- "$word"))
      return
      ;;
  esac

  local networks="--space --space-file --arch --arch-file --net --json"
  local scores="--table --column --key --proxy --cost --run --better --samples --params-min --params-max
    --macs-min --macs-max --data --batch-size --seed --threads --json"
  local options=""
  case $verb in
    "") COMPREPLY=($(compgen -W "$verbs --help --version --quiet --verbose" -- "$word")); return ;;
    search) options="--out --resume --continue-as-new --set --threads --json" ;;
    pareto | trials) options="--json --csv" ;;
    describe) options=$networks ;;
    estimate) options="$networks --hardware" ;;
    score) options="$networks --proxy --data --batch-size --seed --threads --workers --aggregate" ;;
    compare) options="--seeds --trials --at --within --out --threads --set --json" ;;
    compare-spaces) options="$scores --level --normalize --bins" ;;
    shrink) options="$scores --space --space-file --drop --target-size --per-round" ;;
    rank-check) options="--truth --out --sample --seed --top --resamples --json" ;;
    predict)
      options="--predictor --metric --arch --arch-file --train --splits --held-out --features --proxy
        --seed --threads --json"
      ;;
    export) options="--format --out --weights" ;;
    list)
      options="--json spaces strategies predictors evaluators datasets hardware devices proxies nets formats"
      ;;
    report) options="--out" ;;
  esac
  if [[ $word == -* || $verb == list ]]; then
    COMPREPLY=($(compgen -W "$options --help --quiet --verbose" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _espalier espalier
